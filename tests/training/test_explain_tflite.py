from pathlib import Path

import msgspec
import numpy as np
import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import BundleError, ConfigError
from linegate_bundle.images import decode_image
from linegate_bundle.manifest import Label
from linegate_bundle.preprocess import Preprocessor
from linegate_training.explain.explanation import HeatMethod, StageKind
from linegate_training.explain.keras_source import open_run
from linegate_training.explain.open import open_source
from linegate_training.explain.source import Source, explain
from linegate_training.explain.tflite_source import TfliteSource, open_bundle
from tests.training.known_nets import (
    EDGE,
    SPEC,
    THREE,
    TWO,
    HeadKind,
    blob,
    edge,
    known_net,
    write_run,
)

TINY = Path(__file__).parents[1] / "data" / "tiny.linegate"


def both(folder: Path, head: HeadKind, labels: tuple[Label, ...]) -> tuple[Source, Source]:
    """Return a run and what the real export makes of it."""
    from linegate_export import graph, tflite_float32
    from linegate_export.saved_model import write_saved_model
    from tests.export import nets

    run = write_run(folder / "run", known_net(head, len(labels)), labels)
    record = run.read_record()
    deployable = graph.cut(graph.load_model(run.model), record)
    write_saved_model(deployable, folder / "saved")
    pictures = np.stack(
        [edge(column) for column in range(4, 21, 4)]
        + [blob(row, column) for row in range(0, 18, 3) for column in range(0, 18, 3)]
    )
    tflite = tflite_float32.convert(deployable, folder / "saved")
    artifact = nets.to_int8(deployable, tflite, pictures)
    with Bundle.open(TINY, "0.1.0") as bundle:
        manifest = bundle.manifest
    manifest = msgspec.structs.replace(
        manifest,
        labels=labels,
        preprocess=SPEC,
        activation=record.activation,
        models=(artifact.entry,),
    )
    return open_run(run.path), TfliteSource(manifest, artifact.content)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    return both(tmp_path_factory.mktemp("mapped"), HeadKind.CLASS_MAP, TWO)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    return both(tmp_path_factory.mktemp("dense"), HeadKind.DENSE, TWO)


@pytest.mark.parametrize(("row", "column"), [(1, 1), (1, 17), (17, 1), (9, 9)])
def test_class_map_of_the_bundle_is_that_of_the_run(
    mapped: tuple[Source, Source], row: int, column: int
) -> None:
    run, bundle = (explain(source, blob(row, column)).heat for source in mapped)
    assert (run.method, bundle.method) == (HeatMethod.CLASS_MAP, HeatMethod.CLASS_MAP)
    assert run.values.shape == bundle.values.shape
    assert np.corrcoef(run.values.ravel(), bundle.values.ravel())[0, 1] > 0.99
    assert bundle.step is not None
    assert np.abs(run.values - bundle.values).max() < 3 * bundle.step


def test_dense_heads_are_explained_by_occlusion_where_the_run_has_grad_cam(
    dense: tuple[Source, Source],
) -> None:
    run, bundle = (explain(source, blob(15, 3)) for source in dense)
    assert run.decision.label == bundle.decision.label == "blob"
    assert (run.heat.method, bundle.heat.method) == (HeatMethod.GRAD_CAM, HeatMethod.OCCLUSION)
    assert bundle.heat.values.shape == run.heat.values.shape == (24, 24)
    row, column = np.unravel_index(bundle.heat.values.argmax(), bundle.heat.values.shape)
    assert 15 <= row < 21
    assert 3 <= column < 9
    assert np.corrcoef(run.heat.values.ravel(), bundle.heat.values.ravel())[0, 1] > 0.7


def test_feature_maps_of_the_bundle_are_those_of_the_run(mapped: tuple[Source, Source]) -> None:
    run, bundle = (explain(source, edge(12)).stages for source in mapped)
    assert [(stage.info.kind, stage.info.shape) for stage in run] == [
        (stage.info.kind, stage.info.shape) for stage in bundle
    ]
    assert [stage.info.kind for stage in bundle] == [StageKind.CONVOLUTION, StageKind.POOLING]
    for one, other in zip(run, bundle, strict=True):
        np.testing.assert_allclose(one.maps[..., EDGE], other.maps[..., EDGE], atol=0.02)


def test_filters_of_the_bundle_are_those_of_the_run(mapped: tuple[Source, Source]) -> None:
    run, bundle = (source.filters for source in mapped)
    assert run is not None
    assert bundle is not None
    # The export's input is normalized by its quantization, so only the scale may differ.
    scaled = bundle.kernels / np.abs(bundle.kernels).max() * np.abs(run.kernels).max()
    np.testing.assert_allclose(scaled, run.kernels, atol=0.01)


def test_a_bundle_has_a_verdict_by_its_own_thresholds() -> None:
    source = open_source(TINY)
    with Bundle.open(TINY, "0.1.0") as bundle:
        manifest = bundle.manifest
        for golden in manifest.golden:
            frame = decode_image(bundle.read(golden.file))
            explanation = explain(source, frame)
            np.testing.assert_array_equal(
                explanation.pixels, Preprocessor(manifest.preprocess)(frame)
            )
            tflite = next(one for one in golden.outputs if one.file == "model.int8.tflite")
            probability = 1 / (1 + np.exp(-tflite.logits[0]))
            assert explanation.decision.defect_probability == pytest.approx(probability, abs=1e-9)
            assert explanation.policy == manifest.policy
    names = [stage.info.name for stage in explanation.stages]
    assert names == [
        "re_lu_1", "re_lu_1_2", "re_lu_2_1", "batch_normalization_3_1", "re_lu_3_1", "re_lu_4_1",
        "batch_normalization_6_1",
    ]  # fmt: skip
    assert explanation.heat.method is HeatMethod.CLASS_MAP


def test_three_labels_get_the_same_decision_from_run_and_bundle(tmp_path: Path) -> None:
    run, bundle = both(tmp_path, HeadKind.CLASS_MAP, THREE)
    explanations = [explain(source, edge(12)) for source in (run, bundle)]
    assert [one.decision.label for one in explanations] == ["edge", "edge"]
    one, other = (explanation.heat.values.ravel() for explanation in explanations)
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    content = bytearray(TINY.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.linegate").write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        open_bundle(tmp_path / "bad.linegate")


def test_what_is_neither_run_nor_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a run folder .* or a \.linegate file"):
        open_source(tmp_path / "model.tflite")
