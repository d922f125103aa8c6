"""Where an int8 model loses what the float one has: the error of each operator.

Two figures, both as the ratio of signal to noise in decibels, the mean of all channels: the next
layer can make a small channel as important as a large one. What an operator's result has lost
since the input tells how the error grows; what rounding its weights and its result takes from it,
if all before were exact, tells which operator is to blame.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import Artifact, RequirementError
from linegate_export.graph import Deployable
from linegate_export.layers import layer_of
from linegate_export.quantization.probe import Probe, evenly, normalized
from linegate_export.quantization.simulation import Simulation
from linegate_export.tflite_edit import dequantized
from linegate_export.tflite_file import WEIGHTS, Tensor, quantized_layers, read_tflite

Float32Array = npt.NDArray[np.float32]
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
            weights and result are rounded to the int8 model's steps; without the weights in a
            graph that cannot be simulated.
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
    floats = {one.outputs[0].name for one in read_tflite(tflite).operators}
    shared = [one for one in file.operators if one.outputs[0].name in floats]
    run_exact = _exact_results(model, tflite, artifact.content)
    int8 = Probe(artifact.content, model.normalization)
    powers = [np.zeros((3, one.outputs[0].shape[-1])) for one in shared]
    for picture in chosen:
        results = run_exact(picture)
        int8.run(picture)
        for column, operator in enumerate(shared):
            tensor = operator.outputs[0]
            expected, alone = results[tensor.name]
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


def _exact_results(
    model: Deployable, tflite: bytes, int8: bytes
) -> Callable[[UInt8Array], Mapping[str, tuple[Float32Array, Float32Array]]]:
    """Return what computes the float graph's results of a picture.

    Each is given twice, by name: as it is, and as it is with the weights of ``int8``.
    """
    try:
        simulation = Simulation(tflite)
    except RequirementError:
        probe = Probe(tflite, model.normalization)
        tensors = [operator.outputs[0] for operator in read_tflite(tflite).operators]

        def run(picture: UInt8Array) -> dict[str, tuple[Float32Array, Float32Array]]:
            probe.run(picture)
            values = ((tensor.name, probe.values(tensor)) for tensor in tensors)
            return {name: (value, value) for name, value in values}

        return run
    weights = {
        layer.inputs[WEIGHTS].name: dequantized(int8, other.inputs[WEIGHTS])
        for layer, other in quantized_layers(read_tflite(tflite), read_tflite(int8))
    }

    def simulate(picture: UInt8Array) -> dict[str, tuple[Float32Array, Float32Array]]:
        pairs = simulation.each_alone(normalized(picture, model.normalization), weights)
        return {name: (np.asarray(one), np.asarray(two)) for name, (one, two) in pairs.items()}

    return simulate


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
