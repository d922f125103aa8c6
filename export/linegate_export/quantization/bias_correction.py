"""Taking the mean error out of an int8 TFLite model, layer by layer.

Rounding weights and activations shifts the mean of a layer's output, and the shift
of one layer becomes an error of all that follow. Here each linear layer (no
activation fused into it) gets the shift that is left after the correction of the
layers before it subtracted from its bias, channel by channel. No label is used
and nothing is trained. Method: empirical bias correction, Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV
2019, section 4.2 and appendix D.

Measured on EfficientNet-Lite0 and ELPV (128 representative pictures): fine-tuned,
640 test pictures, labels as float 98.6 % before and 99.7 % after, standard deviation
of the logit's error 0.168 and 0.086; frozen backbone, 664 test pictures, 91.4 % and
96.4 %, 0.633 and 0.267. Correcting all layers at once diverges, and so does
correcting behind a fused ReLU.
"""

import dataclasses
from collections import Counter

import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import Artifact, converting
from linegate_export.graph import Normalization
from linegate_export.quantization.probe import Probe, evenly
from linegate_export.tflite_edit import buffer_view
from linegate_export.tflite_file import (
    BIAS,
    LAYERS,
    Fused,
    Operator,
    Tensor,
    TfliteFile,
    read_tflite,
)

Float64Array = npt.NDArray[np.float64]
PICTURES = 16
"""Every picture has many positions a channel, so few are enough."""

_INT32 = np.iinfo(np.int32)


def correct(
    artifact: Artifact, reference: bytes, pictures: UInt8Array, normalization: Normalization
) -> Artifact:
    """Return the same int8 model with corrected biases.

    Requires: int8 and float TFLite from the same SavedModel, so that tensors that
    mean the same have the same name; others are left as they are.
    Ensures: nothing but the values of biases differs.

    Args:
        artifact: int8 TFLite.
        reference: float32 TFLite.
        pictures: representative raw pixels, uint8 ``(n, height, width, channels)``.
        normalization: turns the raw pixels into the input of ``reference``.

    Raises:
        ConversionError: the interpreter cannot run one of them.
    """
    chosen = evenly(pictures, PICTURES)
    content = bytearray(artifact.content)
    floats = _outputs(reference)
    layers = [
        layer
        for layer in _linear_layers(read_tflite(artifact.content))
        if layer.outputs[0].name in floats
    ]
    with converting("the bias correction"):
        expected = _channel_means(
            reference, [floats[layer.outputs[0].name] for layer in layers], chosen, normalization
        )
        for layer, wanted in zip(layers, expected, strict=True):
            (measured,) = _channel_means(bytes(content), [layer.outputs[0]], chosen, normalization)
            bias = buffer_view(content, layer.inputs[BIAS].buffer).view("<i4")
            corrected = bias - np.round((measured - wanted) / layer.inputs[BIAS].scales)
            bias[:] = np.clip(corrected, _INT32.min, _INT32.max).astype(np.int32)
    return dataclasses.replace(artifact, content=bytes(content))


def _linear_layers(file: TfliteFile) -> list[Operator]:
    """Return the layers in the order in which they run; those that share a bias are left out."""
    biases = Counter(tensor.buffer for operator in file.operators for tensor in operator.inputs)
    return [
        operator
        for operator in file.operators
        if operator.name in LAYERS
        and operator.activation is Fused.NONE
        and len(operator.inputs) > BIAS
        and operator.inputs[BIAS].dtype == "int32"
        and biases[operator.inputs[BIAS].buffer] == 1
    ]


def _outputs(content: bytes) -> dict[str, Tensor]:
    """Return every operator's output by its name."""
    return {
        operator.outputs[0].name: operator.outputs[0] for operator in read_tflite(content).operators
    }


def _channel_means(
    content: bytes, tensors: list[Tensor], pictures: UInt8Array, normalization: Normalization
) -> list[Float64Array]:
    """Run a model and average tensors over pictures and positions, in real units."""
    probe = Probe(content, normalization)
    means: list[list[Float64Array]] = [[] for _ in tensors]
    for picture in pictures:
        probe.run(picture)
        for place, tensor in enumerate(tensors):
            positions = probe.values(tensor).reshape(-1, tensor.shape[-1])
            means[place].append(positions.mean(axis=0, dtype=np.float64))
    return [np.mean(each, axis=0) for each in means]
