"""Equalization: the same function, with channels that int8 can hold."""

import numpy as np
import pytest

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Deployable
from linegate_export.quantization import equalization
from linegate_export.quantization.equalization import equalize
from linegate_export.quantization.probe import Probe
from linegate_export.tflite_file import Fused, read_tflite
from tests.export import nets


def logits(content: bytes, model: Deployable, pictures: UInt8Array) -> np.ndarray:
    probe = Probe(content, model.normalization)
    output = read_tflite(content).outputs["logits"]
    given = []
    for picture in pictures:
        probe.run(picture)
        given.append(probe.values(output).copy())
    return np.concatenate(given)


def spread(content: bytes, model: Deployable, pictures: UInt8Array) -> float:
    """Return how many times the largest channel is the smallest one that is not dead."""
    tensors = [
        operator.outputs[0]
        for operator in read_tflite(content).operators
        if operator.activation is Fused.RELU
    ]
    largest = equalization._largest_by_channel(content, tensors, pictures, model.normalization)
    return max(float(one.max() / one[one > 0].min()) for one in largest.values())


@pytest.mark.parametrize("largest", [1.0, 30.0, 1000.0])
def test_the_function_stays_and_channels_become_alike(
    relu_net: tuple[Deployable, bytes], blob_pictures: UInt8Array, largest: float
) -> None:
    model, plain = relu_net
    scaled = nets.scale_channels(plain, largest)
    equal = equalize(scaled, blob_pictures, model.normalization)
    assert equal is not None
    expected = logits(plain, model, blob_pictures[:20])
    np.testing.assert_allclose(
        logits(equal, model, blob_pictures[:20]), expected, atol=1e-3 * np.abs(expected).max()
    )
    before, after = (spread(each, model, blob_pictures[:16]) for each in (scaled, equal))
    assert after < 40
    if largest > 1:
        assert after < before / largest**0.5


def test_equalizing_what_is_equal_changes_next_to_nothing(
    relu_net: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    model, plain = relu_net
    once = equalize(plain, blob_pictures, model.normalization)
    assert once is not None
    twice = equalize(once, blob_pictures, model.normalization)
    assert twice is not None
    first, second = (spread(each, model, blob_pictures[:16]) for each in (once, twice))
    assert second == pytest.approx(first, rel=0.1)


def test_layers_with_an_upper_limit_or_two_readers_are_left_as_they_are(
    float_tflite: bytes,
) -> None:
    """The net of ``blobs`` has ReLU6 everywhere, and sums where it has no activation."""
    pairs = list(equalization._pairs(read_tflite(float_tflite)))
    names = {pair.first.outputs[0].name for pair in pairs}
    assert all("Relu6" not in name for name in names)
    sums = [one for one in read_tflite(float_tflite).operators if one.name == "ADD"]
    assert sums
    assert not names & {tensor.name for one in sums for tensor in one.inputs}


def test_without_any_two_layers_that_allow_it_there_is_nothing(
    edge_net: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    """Swish does not scale with its input."""
    model, plain = edge_net
    pairs = list(equalization._pairs(read_tflite(plain)))
    swished = [pair for pair in pairs if pair.first.outputs[0].shape[1] > 1]
    assert not swished
    if not pairs:
        assert equalize(plain, blob_pictures, model.normalization) is None
