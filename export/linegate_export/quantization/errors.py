"""Where an int8 model loses what the float one has: the error of each operator.

Two figures, both as the ratio of signal to noise in decibels, the mean of all channels: the next
layer can make a small channel as important as a large one. What an operator's result has lost
since the input tells how the error grows; what rounding its weights and its result takes from it,
if all before were exact, tells which operator is to blame.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import Artifact
from linegate_export.graph import Deployable
from linegate_export.layers import layer_of
from linegate_export.quantization.probe import Probe, evenly
from linegate_export.tflite_edit import dequantized, with_twins
from linegate_export.tflite_file import WEIGHTS, Tensor, quantized_layers, read_tflite

Float64Array = npt.NDArray[np.float64]

PICTURES = 16
_BEST_DB = 99.0
"""Said of a tensor without any error."""


class OperatorError(msgspec.Struct, frozen=True, kw_only=True):
    """How far one operator's result is from the float model's.

    Attributes:
        operator: of the int8 model, such as ``CONV_2D``.
        layer: of the trained model.
        tensor: name of the result.
        total_db: ratio of signal to noise of the result, with all errors before it.
        own_db: the same where the float model's own values go in and only this operator's
            weights and result are rounded to the int8 model's steps.
        float32: it computes in float.
    """

    operator: str
    layer: str
    tensor: str
    total_db: float
    own_db: float
    float32: bool


def measure_errors(
    model: Deployable, tflite: bytes, artifact: Artifact, pictures: UInt8Array
) -> tuple[OperatorError, ...]:
    """Compare every tensor that the float and the int8 model both have, in order.

    Args:
        model: the trained model.
        tflite: the float graph that ``artifact`` was made from.
        artifact: int8 TFLite.
        pictures: raw pixels, uint8 ``(n, height, width, channels)``.
    """
    chosen = evenly(pictures, PICTURES)
    file = read_tflite(artifact.content)
    exact = read_tflite(tflite)
    weights = {
        layer.outputs[0].name: dequantized(artifact.content, other.inputs[WEIGHTS])
        for layer, other in quantized_layers(exact, file)
    }
    doubled, twins = with_twins(tflite, weights)
    floats = {one.outputs[0].name: one.outputs[0] for one in read_tflite(doubled).operators}
    results = {one.outputs[0].name for one in exact.operators}
    shared = [one for one in file.operators if one.outputs[0].name in results]
    reference, int8 = (Probe(each, model.normalization) for each in (doubled, artifact.content))
    powers = [np.zeros((3, one.outputs[0].shape[-1])) for one in shared]
    for picture in chosen:
        reference.run(picture)
        int8.run(picture)
        for column, operator in enumerate(shared):
            tensor = operator.outputs[0]
            expected = reference.values(floats[tensor.name])
            alone = reference.values(floats[twins.get(tensor.name, tensor.name)])
            powers[column] += [
                _power(expected),
                _power(int8.values(tensor) - expected),
                _power(rounded(alone, tensor) - expected),
            ]
    return tuple(
        OperatorError(
            operator=operator.name,
            layer=layer_of(operator, file, model.layers),
            tensor=operator.outputs[0].name,
            total_db=_decibels(signal, total),
            own_db=_decibels(signal, own),
            float32=operator.outputs[0].dtype == "float32",
        )
        for operator, (signal, total, own) in zip(shared, powers, strict=True)
    )


def worst_tensors(errors: Sequence[OperatorError], count: int) -> list[str]:
    """Return the tensors whose own rounding loses most, the worst first."""
    return [one.tensor for one in sorted(errors, key=lambda one: one.own_db)[:count]]


def rounded(values: npt.NDArray[np.float32], tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return values as an int8 tensor would hold them; as they are where it is float."""
    quantization = tensor.quantization
    if quantization is None:
        return values
    steps = np.round(values / quantization.scale) + quantization.zero_point
    stored = np.clip(steps, -128, 127) - quantization.zero_point
    return np.asarray(stored * quantization.scale, np.float32)


def _power(values: npt.NDArray[np.float32]) -> Float64Array:
    """Return the mean square of each channel."""
    positions = values.reshape(-1, values.shape[-1])
    result: Float64Array = np.mean(np.square(positions, dtype=np.float64), axis=0)
    return result


def _decibels(signal: Float64Array, noise: Float64Array) -> float:
    """Return the mean over the channels that have a signal, none more than wholly lost."""
    alive = signal > 0
    lost = float(np.minimum(noise[alive] / signal[alive], 1.0).mean()) if alive.any() else 0.0
    return _BEST_DB if lost == 0 else float(min(_BEST_DB, -10 * np.log10(lost)))
