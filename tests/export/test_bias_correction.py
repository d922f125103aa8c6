"""Bias correction: it takes a shift out again and touches nothing but biases."""

import dataclasses

import numpy as np
import pytest

from linegate_bundle.manifest import Activation
from linegate_bundle.preprocess import UInt8Array
from linegate_export.conversion import Artifact
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable
from linegate_export.quantization import bias_correction
from linegate_export.tflite_edit import buffer_view
from linegate_export.tflite_file import Tensor, read_tflite
from tests.export import nets


@pytest.fixture(scope="module")
def pictures(blob_pictures: UInt8Array) -> UInt8Array:
    return blob_pictures


@pytest.fixture(scope="module")
def tflite(deployable: Deployable, float_tflite: bytes, pictures: UInt8Array) -> Artifact:
    return nets.to_int8(deployable, float_tflite, pictures)


def mean_error(artifact: Artifact, deployable: Deployable, pictures: UInt8Array) -> float:
    logits = evaluate(artifact, pictures, Activation.SIGMOID, "int8").logits
    expected = np.asarray(deployable.raw(pictures.astype(np.float32))["logits"])
    return float((logits - expected).mean())


def linear_biases(artifact: Artifact) -> list[Tensor]:
    layers = bias_correction._linear_layers(read_tflite(artifact.content))
    return [layer.inputs[2] for layer in layers]


def disturbed(artifact: Artifact, steps: int) -> Artifact:
    """Shift the bias of every linear layer by as many steps of int32."""
    content = bytearray(artifact.content)
    for bias in linear_biases(artifact):
        buffer_view(content, bias.buffer).view("<i4")[:] += steps
    return dataclasses.replace(artifact, content=bytes(content))


def test_the_linear_layers_are_the_projections_and_the_class_map(tflite: Artifact) -> None:
    layers = bias_correction._linear_layers(read_tflite(tflite.content))
    assert len(layers) == 3
    assert all("elu" not in layer.outputs[0].name.lower() for layer in layers)


def test_a_shift_of_every_layer_is_taken_out_again(
    tflite: Artifact, float_tflite: bytes, deployable: Deployable, pictures: UInt8Array
) -> None:
    shifted = disturbed(tflite, 1500)
    corrected = bias_correction.correct(shifted, float_tflite, pictures, deployable.normalization)
    before = abs(mean_error(shifted, deployable, pictures))
    after = abs(mean_error(corrected, deployable, pictures))
    assert before > 0.5
    assert after < 0.1 * before


def test_nothing_but_biases_changes(
    tflite: Artifact, float_tflite: bytes, deployable: Deployable, pictures: UInt8Array
) -> None:
    corrected = bias_correction.correct(
        disturbed(tflite, 1500), float_tflite, pictures, deployable.normalization
    )
    assert corrected.entry == tflite.entry
    assert read_tflite(corrected.content) == read_tflite(tflite.content)
    old, new = (np.frombuffer(each.content, np.uint8) for each in (tflite, corrected))
    assert 0 < (old != new).sum() <= sum(4 * len(bias.scales) for bias in linear_biases(tflite))


def test_a_model_of_other_names_is_left_as_it_is(
    tflite: Artifact, float_tflite: bytes, deployable: Deployable, pictures: UInt8Array
) -> None:
    renamed = float_tflite.replace(b"core", b"more").replace(b"Stateful", b"Careful!")
    corrected = bias_correction.correct(tflite, renamed, pictures, deployable.normalization)
    assert corrected.content == tflite.content
