"""Changing a TFLite file: what is asked for changes, and the function else stays."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Deployable
from linegate_export.quantization import equalization
from linegate_export.quantization.probe import Probe
from linegate_export.quantization.ranges import observe
from linegate_export.tflite_edit import (
    constants,
    values_of,
    with_constants,
    with_own_constants,
    with_twins,
)
from linegate_export.tflite_file import LAYERS, WEIGHTS, read_tflite
from tests.export import nets


@pytest.fixture(scope="module")
def separable(trained: Callable[[Any], tuple[Deployable, bytes]]) -> tuple[Deployable, bytes]:
    """A net whose layers without bias are all as wide."""
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, "same", use_bias=False)(x)
    for _ in range(3):
        x = keras.layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    return trained(keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x)))


def test_no_two_layers_share_a_constant(separable: tuple[Deployable, bytes]) -> None:
    file = read_tflite(separable[1])
    used = [
        tensor.buffer
        for operator in file.operators
        if operator.name in LAYERS
        for tensor in operator.inputs[1:]
    ]
    assert len(used) > 10
    assert len(used) == len(set(used))
    assert with_own_constants(separable[1]) == separable[1]


def test_layers_without_bias_are_equalized(separable: tuple[Deployable, bytes]) -> None:
    streams = equalization.find_streams(read_tflite(separable[1]))
    assert len(streams) == 7


def test_constants_are_replaced_in_place(separable: tuple[Deployable, bytes]) -> None:
    _, tflite = separable
    name, values = next(iter(constants(tflite).items()))
    changed = with_constants(tflite, {name: values + 1})
    assert len(changed) == len(tflite)
    np.testing.assert_array_equal(constants(changed)[name], values + 1)
    others = {key: one for key, one in constants(tflite).items() if key != name}
    for key, one in others.items():
        np.testing.assert_array_equal(constants(changed)[key], one)
    with pytest.raises(ValueError, match=r"expected .* of shape"):
        with_constants(tflite, {name: values.ravel()[:1]})


def test_integer_constants_have_their_own_dtype(
    separable: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    model, tflite = separable
    content = nets.to_int8(model, tflite, blob_pictures[:8]).content
    first = read_tflite(content).operators[0]
    assert [values_of(content, one).dtype.name for one in first.inputs[1:]] == ["int8", "int32"]


def test_ranges_are_those_that_the_quantizer_uses(
    separable: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    model, tflite = separable
    ranges = observe(tflite, blob_pictures[:8], model.normalization, histograms_of=1).min_max()
    file = read_tflite(nets.to_int8(model, tflite, blob_pictures[:8]).content)
    for operator in file.operators:
        tensor = operator.outputs[0]
        low, high = min(ranges[tensor.name].low, 0), max(ranges[tensor.name].high, 0)
        assert tensor.scales[0] == pytest.approx((high - low) / 255, rel=1e-4)


def test_a_twin_computes_its_layer_with_other_weights_and_changes_nothing(
    relu_net: tuple[Deployable, bytes], blob_pictures: UInt8Array
) -> None:
    model, tflite = relu_net
    layers = [one for one in read_tflite(tflite).operators if one.name in LAYERS]
    values = constants(tflite)
    weights = {
        layer.outputs[0].name: -2 * values[layer.inputs[WEIGHTS].name] for layer in layers[:2]
    }
    doubled, twins = with_twins(tflite, weights)
    assert twins.keys() == weights.keys()
    # Of the second layer alone, so that what it reads is as it was.
    name = layers[1].inputs[WEIGHTS].name
    alone = with_constants(tflite, {name: -2 * values[name]})
    plain, changed, both = (Probe(each, model.normalization) for each in (tflite, alone, doubled))
    places = {one.outputs[0].name: one.outputs[0] for one in read_tflite(doubled).operators}
    for probe in (plain, changed, both):
        probe.run(blob_pictures[0])
    for operator in read_tflite(tflite).operators:
        tensor = operator.outputs[0]
        np.testing.assert_array_equal(both.values(places[tensor.name]), plain.values(tensor))
    result = layers[1].outputs[0]
    np.testing.assert_array_equal(both.values(places[twins[result.name]]), changed.values(result))
