"""Quantization-aware fine-tuning: nearer to the float model, and exactly what was simulated."""

import numpy as np
import pytest

from linegate_bundle.manifest import Activation
from linegate_bundle.preprocess import UInt8Array
from linegate_export import onnx_float32, tflite_int8
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable
from linegate_export.quantization import fine_tuning
from linegate_export.quantization.fine_tuning import fine_tune
from linegate_export.quantization.ranges import Range, Ranges, observe
from linegate_export.tflite_edit import constants, dequantized, values_of
from linegate_export.tflite_file import WEIGHTS, quantized_layers, read_tflite

Net = tuple[Deployable, bytes]


@pytest.fixture(scope="module")
def coarse(edge_net: Net, blob_pictures: UInt8Array) -> Ranges:
    """Ranges ten times too wide, as an outlier in one picture would make them."""
    model, tflite = edge_net
    observed = observe(tflite, blob_pictures[:16], model.normalization, histograms_of=1)
    wide = {name: Range(10 * one.low, 10 * one.high) for name, one in observed.min_max().items()}
    return {**wide, **observed.given}


def error(net: Net, content: bytes, ranges: Ranges, pictures: UInt8Array) -> float:
    """Root mean square difference of the logits of int8 made from ``content`` and the net."""
    model, tflite = net
    int8 = tflite_int8.convert(model, content, ranges)
    given, expected = (
        evaluate(artifact, pictures, Activation.SIGMOID, "").logits
        for artifact in (int8, onnx_float32.convert(model, tflite))
    )
    return float(np.sqrt(np.mean((given - expected) ** 2)))


def test_int8_comes_nearer_to_float_on_other_pictures(
    edge_net: Net, coarse: Ranges, blob_pictures: UInt8Array
) -> None:
    model, tflite = edge_net
    int8 = tflite_int8.convert(model, tflite, coarse).content
    tuned = fine_tune(model, tflite, int8, tflite, blob_pictures[:80])
    before, after = (
        error(edge_net, content, coarse, blob_pictures[80:]) for content in (tflite, tuned)
    )
    assert after < 0.75 * before


def test_weights_are_whole_steps_and_int8_stores_them_unchanged(
    edge_net: Net,
    coarse: Ranges,
    blob_pictures: UInt8Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tflite = edge_net
    monkeypatch.setattr(fine_tuning, "STEPS", 20)
    int8 = tflite_int8.convert(model, tflite, coarse).content
    tuned = fine_tune(model, tflite, int8, tflite, blob_pictures[:32])
    again = tflite_int8.convert(model, tuned, coarse).content
    values, moved = constants(tuned), 0
    pairs = zip(
        quantized_layers(read_tflite(tuned), read_tflite(again)),
        quantized_layers(read_tflite(tuned), read_tflite(int8)),
        strict=True,
    )
    for (layer, stored), (_, first) in pairs:
        weights = stored.inputs[WEIGHTS]
        np.testing.assert_allclose(
            values[layer.inputs[WEIGHTS].name] / max(weights.scales),
            dequantized(again, weights) / max(weights.scales),
            atol=1e-3,
        )
        moved += int((values_of(again, weights) != values_of(int8, first.inputs[WEIGHTS])).sum())
    assert moved > 0


def test_the_same_graph_gives_the_same_bytes(
    edge_net: Net,
    coarse: Ranges,
    blob_pictures: UInt8Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tflite = edge_net
    monkeypatch.setattr(fine_tuning, "STEPS", 10)
    int8 = tflite_int8.convert(model, tflite, coarse).content
    first, second = (fine_tune(model, tflite, int8, tflite, blob_pictures[:32]) for _ in range(2))
    assert first == second
    assert first != tflite


def test_what_is_in_float_is_not_trained(
    edge_net: Net,
    coarse: Ranges,
    blob_pictures: UInt8Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tflite = edge_net
    monkeypatch.setattr(fine_tuning, "STEPS", 5)
    layer = next(one for one in read_tflite(tflite).operators if one.name == "CONV_2D")
    exempt = {layer.outputs[0].name}
    int8 = tflite_int8.convert(model, tflite, coarse, exempt).content
    tuned = fine_tune(model, tflite, int8, tflite, blob_pictures[:32])
    name = layer.inputs[1].name
    np.testing.assert_array_equal(constants(tuned)[name], constants(tflite)[name])


def test_batches_hold_every_picture_equally_often() -> None:
    pictures = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    batches = fine_tuning._batches(pictures)
    assert len(batches) == fine_tuning.STEPS
    assert {len(batch) for batch in batches} == {fine_tuning.BATCH}
    counts = np.bincount(np.concatenate(batches).reshape(-1), minlength=40)
    assert counts.max() - counts.min() <= 1
