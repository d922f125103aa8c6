"""Equalization: the same function, with channels that int8 can hold."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Deployable
from linegate_export.quantization import equalization
from linegate_export.quantization.equalization import equalize
from linegate_export.quantization.probe import Probe
from linegate_export.tflite_edit import constants, with_constants
from linegate_export.tflite_file import BIAS, DEPTHWISE, WEIGHTS, Fused, read_tflite
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
    largest = equalization.largest_by_channel(content, tensors, pictures, model.normalization)
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


def test_a_channel_that_was_always_0_does_not_take_the_range_of_its_readers_weights(
    relu_net: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    model, plain = relu_net
    stream = next(
        one
        for one in equalization.find_streams(read_tflite(plain))
        if any(reader.name != DEPTHWISE for reader in one.readers)
    )
    reader = next(one for one in stream.readers if one.name != DEPTHWISE)
    name = reader.inputs[WEIGHTS].name
    values = constants(plain)
    values[stream.writers[0].inputs[BIAS].name][0] = -1e6
    values[name][..., 0] *= 1e6
    equal = equalize(with_constants(plain, values), blob_pictures, model.normalization)
    assert equal is not None
    weights = np.abs(constants(equal)[name])
    assert weights[..., 0].max() < weights[..., 1:].max()
    assert constants(equal)[stream.writers[0].inputs[BIAS].name][0] < 0


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


def test_sums_are_scaled_with_all_that_is_added_and_layers_with_a_limit_are_left(
    float_tflite: bytes, deployable: Deployable, blob_pictures: UInt8Array
) -> None:
    """The net of ``blobs`` has ReLU6 everywhere, and a sum of what has no activation."""
    file = read_tflite(float_tflite)
    streams = equalization.find_streams(file)
    written = {writer.outputs[0].name for one in streams for writer in one.writers}
    assert all("Relu6" not in name for name in written)
    sums = [one for one in file.operators if one.name == "ADD"]
    assert len(sums) == 1
    # One side of the sum is the stem, which has a ReLU6: nothing there may be scaled.
    assert not written & {tensor.name for tensor in sums[0].inputs}
    scaled = nets.scale_channels(float_tflite, 100.0)
    expected = logits(float_tflite, deployable, blob_pictures[:8])
    np.testing.assert_allclose(
        logits(scaled, deployable, blob_pictures[:8]),
        expected,
        atol=1e-3 * np.abs(expected).max(),
    )


def test_a_residual_stream_is_equalized_as_one(
    trained: Callable[[Any], tuple[Deployable, bytes]], blob_pictures: UInt8Array
) -> None:
    model, plain = trained(nets.residual_net())
    (stream,) = [
        one for one in equalization.find_streams(read_tflite(plain)) if len(one.writers) > 1
    ]
    assert len(stream.writers) == 3
    assert len(stream.readers) == 3
    scaled = nets.scale_channels(plain, 1000.0)
    equal = equalize(scaled, blob_pictures, model.normalization)
    assert equal is not None
    expected = logits(plain, model, blob_pictures[:8])
    for content in (scaled, equal):
        np.testing.assert_allclose(
            logits(content, model, blob_pictures[:8]), expected, atol=1e-3 * np.abs(expected).max()
        )
    before, after = (
        equalization.largest_by_channel(
            content, list(stream.tensors), blob_pictures[:16], model.normalization
        )
        for content in (scaled, equal)
    )
    for tensor in stream.tensors:
        old, new = (one[tensor.index][one[tensor.index] > 0] for one in (before, after))
        assert new.max() / new.min() < 0.1 * old.max() / old.min()


def test_without_any_layers_that_allow_it_there_is_nothing(
    edge_net: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    """Swish does not scale with its input."""
    model, plain = edge_net
    streams = equalization.find_streams(read_tflite(plain))
    assert not [one for one in streams if one.tensors[0].shape[1] > 1]
    if not streams:
        assert equalize(plain, blob_pictures, model.normalization) is None


@pytest.mark.parametrize("inner", ["convolution", "depthwise"])
def test_a_branch_of_one_layer_reads_and_writes_the_stream_that_it_is_added_to(
    trained: Callable[[Any], tuple[Deployable, bytes]], blob_pictures: UInt8Array, inner: str
) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    if inner == "convolution":
        branch = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    else:
        branch = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = keras.layers.Add()([x, branch])
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    probabilities = keras.layers.Activation("sigmoid", name="probabilities")(x)
    model, plain = trained(keras.Model(image, probabilities))
    (stream,) = equalization.find_streams(read_tflite(plain))
    assert len(stream.writers) == 2
    assert len(stream.readers) == 2
    expected = logits(plain, model, blob_pictures[:8])
    equal = equalize(nets.scale_channels(plain, 300.0), blob_pictures, model.normalization)
    assert equal is not None
    np.testing.assert_allclose(
        logits(equal, model, blob_pictures[:8]), expected, atol=1e-3 * np.abs(expected).max()
    )


def test_the_input_is_never_scaled(
    trained: Callable[[Any], tuple[Deployable, bytes]],
) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Add()([x, keras.layers.Conv2D(3, 3, padding="same")(x)])
    x = keras.layers.Conv2D(1, 3, padding="same", name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    probabilities = keras.layers.Activation("sigmoid", name="probabilities")(x)
    _, plain = trained(keras.Model(image, probabilities))
    assert not equalization.find_streams(read_tflite(plain))


def test_what_a_constant_is_added_to_is_left(
    trained: Callable[[Any], tuple[Deployable, bytes]],
) -> None:
    """A constant would have to be scaled too."""
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    x = keras.layers.Rescaling(1.0, 0.25)(x)
    x = keras.layers.Conv2D(1, 3, padding="same", name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    model = keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))
    _, plain = trained(model)
    assert "ADD" in {one.name for one in read_tflite(plain).operators}
    assert not equalization.find_streams(read_tflite(plain))
