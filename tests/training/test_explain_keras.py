from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Label
from linegate_training.explain.explanation import HeatMap, HeatMethod, StageKind
from linegate_training.explain.heat import occlusion, weighted_maps
from linegate_training.explain.keras_source import KerasSource, open_run
from linegate_training.explain.open import open_source
from linegate_training.explain.source import ModelFacts, explain
from linegate_training.networks.base import activation_for, build_model
from linegate_training.networks.efficientnet_lite0 import EFFICIENTNET_LITE0
from linegate_training.networks.registry import load_network
from tests.training import known_nets
from tests.training.known_nets import (
    BRIGHT,
    EDGE,
    SPEC,
    THREE,
    TWO,
    HeadKind,
    blob,
    edge,
    known_net,
)
from tests.training.tiny import TINY

HEADS = list(HeadKind)


def source(model: keras.Model, labels: tuple[Label, ...] = TWO) -> KerasSource:
    facts = ModelFacts("known", "a net with known weights", labels, SPEC)
    return KerasSource(model, facts, activation_for(len(labels)))


def strongest(heat: HeatMap) -> tuple[float, float]:
    """Return the row and column of the strongest cell, as shares of the picture."""
    rows, columns = heat.values.shape
    row, column = np.unravel_index(heat.values.argmax(), heat.values.shape)
    return (float(row) + 0.5) / rows, (float(column) + 0.5) / columns


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("row", "column"), [(1, 1), (1, 17), (17, 1), (9, 9)])
def test_heat_map_lights_up_where_the_blob_is(head: HeadKind, row: int, column: int) -> None:
    heat = explain(source(known_net(head)), blob(row, column)).heat
    found_row, found_column = strongest(heat)
    assert row / 24 <= found_row <= (row + 6) / 24
    assert column / 24 <= found_column <= (column + 6) / 24
    assert (heat.speaks_for, heat.speaks_against) == ("blob", "plain")


def test_class_map_averages_to_the_logit_and_has_both_signs() -> None:
    explanation = explain(source(known_net(HeadKind.CLASS_MAP)), blob(3, 3))
    heat, decision = explanation.heat, explanation.decision
    assert heat.method is HeatMethod.CLASS_MAP
    probability = 1 / (1 + np.exp(-heat.values.mean(dtype=np.float64)))
    assert decision.defect_probability == pytest.approx(probability, abs=1e-6)
    assert heat.values.min() < 0 < heat.values.max()


def test_dense_heads_are_explained_by_grad_cam() -> None:
    heat = explain(source(known_net(HeadKind.DENSE)), blob(3, 3)).heat
    assert heat.method is HeatMethod.GRAD_CAM
    assert heat.values.shape == (24, 24)


def test_grad_cam_weighs_the_maps_by_their_mean_gradients() -> None:
    maps = np.zeros((2, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 1, 1] = 1, 1
    gradients = np.ones((2, 2, 2), np.float32) * np.array([3, -2], np.float32)
    np.testing.assert_allclose(weighted_maps(maps, gradients), [[3, 0], [0, -2]])


@pytest.mark.parametrize("head", HEADS)
def test_three_labels_are_explained_by_the_label_given(head: HeadKind) -> None:
    net = source(known_net(head, 3), THREE)
    sharp = explain(net, edge(12))
    assert (sharp.decision.label, sharp.heat.speaks_for) == ("edge", "edge")
    assert sharp.heat.speaks_against is None
    assert strongest(sharp.heat)[1] == pytest.approx(0.5, abs=0.1)
    dark = explain(net, np.full((24, 24, 3), 5, np.uint8))
    assert (dark.decision.label, dark.heat.speaks_for) == ("plain", "plain")


def test_occlusion_finds_what_grad_cam_finds() -> None:
    net = source(known_net(HeadKind.DENSE))
    found = occlusion(blob(15, 3), net._logits_of, 0)
    assert found.shape == (24, 24)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 15 <= row < 21
    assert 3 <= column < 9
    grad_cam = explain(net, blob(15, 3)).heat.values
    assert np.corrcoef(found.ravel(), grad_cam.ravel())[0, 1] > 0.7


def test_covering_what_does_not_matter_changes_nothing() -> None:
    flat = np.full((24, 24, 3), 90, np.uint8)
    found = occlusion(flat, source(known_net(HeadKind.DENSE))._logits_of, 0)
    np.testing.assert_allclose(found, 0, atol=1e-3)


def test_the_edge_filter_lights_up_at_the_edge_and_pooling_keeps_it() -> None:
    stages = explain(source(known_net(HeadKind.CLASS_MAP)), edge(12)).stages
    assert [(stage.info.name, stage.info.kind, stage.info.shape) for stage in stages] == [
        ("first", StageKind.CONVOLUTION, (24, 24, 4)),
        ("pooled", StageKind.POOLING, (12, 12, 4)),
    ]
    inner = stages[0].maps[2:-2, 2:-2, EDGE]
    assert set(np.unique(inner.argmax(axis=1))) <= {11 - 2, 12 - 2}
    assert inner[:, :8].max() < 0.1 * inner.max()
    assert stages[1].maps[..., EDGE].max() == stages[0].maps[..., EDGE].max()
    assert stages[0].maps[5, 20, BRIGHT] == pytest.approx(230 / 255, abs=1e-3)


def test_filters_are_those_of_the_first_convolution() -> None:
    bank = source(known_net(HeadKind.CLASS_MAP)).filters
    assert bank is not None
    assert bank.layer == "first"
    np.testing.assert_allclose(bank.kernels[:, 0, 0, EDGE], -1 / 9)


def test_normalization_and_activation_belong_to_their_convolution() -> None:
    model = build_model(TINY, (16, 16, 3), 2)
    spec = known_nets.SPEC
    facts = ModelFacts("tiny", "", TWO, spec)
    net = KerasSource(model, facts, activation_for(2))
    explanation = net.explain_pixels(np.zeros((16, 16, 3), np.uint8))
    assert [stage.info.name for stage in explanation.stages] == ["relu0", "relu1", "relu2"]


@pytest.mark.parametrize(
    ("name", "shown", "heat"),
    [("lenet5", "c3_tanh", (5, 5)), ("alexnet", "conv5", (13, 13))],
)
def test_what_is_computed_in_groups_is_one_stage_and_a_map_has_places(
    name: str, shown: str, heat: tuple[int, int]
) -> None:
    network = load_network(name)
    channels = network.colour.channels
    model = build_model(network, (network.size, network.size, channels), 2)
    spec = msgspec.structs.replace(
        SPEC, colour=network.colour, width=network.size, height=network.size
    )
    net = KerasSource(model, ModelFacts(name, "", TWO, spec), activation_for(2))
    pixels = np.random.default_rng(0).integers(0, 255, spec.shape, dtype=np.uint8)
    explanation = net.explain_pixels(pixels)
    names = [stage.info.name for stage in explanation.stages]
    assert shown in names
    assert not any(name.startswith(("c3_1", "conv5_")) for name in names)
    assert explanation.heat.method is HeatMethod.GRAD_CAM
    assert explanation.heat.values.shape == heat


def test_a_deep_net_shows_the_turning_points_only() -> None:
    model = build_model(EFFICIENTNET_LITE0, (32, 32, 3), 2)
    net = KerasSource(model, ModelFacts("deep", "", TWO, SPEC), activation_for(2))
    explanation = net.explain_pixels(np.zeros((32, 32, 3), np.uint8))
    names = [stage.info.name for stage in explanation.stages]
    assert names[0] == "stem_relu"
    assert names[-1] == "head_relu"
    sides = [stage.info.shape[0] for stage in explanation.stages]
    assert sides == sorted(sides, reverse=True)
    assert set(sides) == {16, 8, 4, 2, 1}
    assert explanation.heat.values.shape == (1, 1)


def test_a_run_folder_is_opened_and_has_no_verdict(tmp_path: Path) -> None:
    known_nets.write_run(tmp_path / "run", known_net(HeadKind.CLASS_MAP), TWO)
    net = open_source(tmp_path / "run")
    assert net.facts.title == "known"
    explanation = explain(net, blob(3, 3))
    assert explanation.policy is None
    assert explanation.decision.label == "blob"


def test_an_altered_run_is_refused(tmp_path: Path) -> None:
    run = known_nets.write_run(tmp_path / "run", known_net(HeadKind.CLASS_MAP), TWO)
    run.model.write_bytes(b"something else")
    with pytest.raises(DataError, match="differs from the one that was trained"):
        open_run(run.path)
