"""The whole export on small nets: what comes out, and what stops it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import ConfigError, DataError, GateError, OutputError
from linegate_bundle.manifest import Activation, Fit, Region
from linegate_bundle.run_folder import Part, RunFolder, encode_split, read_split, sha256_file
from linegate_export.exporter import ExportResult, export
from linegate_export.options import ExportOptions, Further
from linegate_export.policy import PolicyTargets
from linegate_export.quantization.options import Repair, RepairOptions
from linegate_export.quantization.recipe import Means
from linegate_runtime.verify import Outcome, verify
from tests.export import nets
from tests.export.nets import Example


@pytest.fixture(scope="module")
def exported(blobs: Example, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    out = tmp_path_factory.mktemp("exported")
    lines: list[str] = []
    options = ExportOptions(run=blobs.run.path, out=out, figures=out / "figures", version="1.2.3")
    result = export(options, lines.append)
    steps = [line for line in lines if line.startswith("[")]
    assert [line.split("]")[0] for line in steps] == [f"[{n}/10" for n in range(1, 11)]
    return result


def open_bundle(result: ExportResult) -> Bundle:
    return Bundle.open(result.outputs.bundle, linegate_runtime.__version__)


def copy_run(example: Example, folder: Path, **changes: Any) -> RunFolder:
    """Copy a run folder; changed fields go into its record."""
    folder.mkdir()
    run = RunFolder(folder)
    for source, target in ((example.run.model, run.model), (example.run.split, run.split)):
        target.write_bytes(source.read_bytes())
    run.write_record(msgspec.structs.replace(example.run.read_record(), **changes))
    return run


def test_the_bundle_opens_and_its_golden_frames_verify(exported: ExportResult) -> None:
    with open_bundle(exported) as bundle:
        assert bundle.sha256 == exported.sha256
        checks = list(verify(bundle))
    assert {check.outcome for check in checks} == {Outcome.OK}
    assert {"model.int8.tflite", "model.int8.onnx"} <= {check.subject for check in checks}


def test_the_manifest_says_what_was_exported(exported: ExportResult, blobs: Example) -> None:
    record = blobs.run.read_record()
    with open_bundle(exported) as bundle:
        manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.created) == (
        "blobs",
        "1.2.3",
        record.created,
    )
    assert manifest.labels == record.labels
    assert manifest.preprocess == record.preprocess
    assert manifest.activation is Activation.SIGMOID
    assert [entry.engine.name for entry in manifest.models] == ["ai-edge-litert", "onnxruntime"]
    assert manifest.provenance.images == {part.value: n for part, n in nets.PARTS.items()}
    assert manifest.provenance.versions["export.keras"] == keras.__version__
    assert manifest.accuracy.images == nets.PARTS[Part.TEST]
    assert manifest.accuracy.defects == nets.PARTS[Part.TEST] // 2
    assert {frame.label for frame in manifest.golden} == {"plain", "blob"}
    assert manifest.policy.vote.frames == 5


def test_the_nets_learned_what_they_should(exported: ExportResult) -> None:
    test = exported.summary.test
    assert test.float32.accuracy.share >= 0.95
    assert test.int8_tflite.accuracy.share >= 0.95
    assert test.int8_onnx.auc.value >= 0.98
    interval = test.float32.accuracy.interval
    assert interval.low < test.float32.accuracy.share <= interval.high


def test_the_file_for_machines_holds_the_same_figures(exported: ExportResult) -> None:
    figures = json.loads(exported.outputs.accuracy.read_bytes())
    with open_bundle(exported) as bundle:
        accuracy = bundle.manifest.accuracy
    assert figures["passed"] is True
    assert figures["test"]["n"] == accuracy.images
    by_file = {entry.artifact: entry for entry in accuracy.artifacts}
    for key, entry in (
        ("float32", accuracy.float32),
        ("int8_tflite", by_file["model.int8.tflite"]),
        ("int8_onnx", by_file["model.int8.onnx"]),
    ):
        assert figures["test"][key]["accuracy"]["share"] == entry.accuracy
        assert figures["test"][key]["accuracy"]["interval"]["low"] == entry.accuracy_95.low
        assert figures["test"][key]["auc"]["value"] == entry.auc
        assert figures["test"][key]["escapes"]["count"] == entry.escapes
    assert figures["test"]["agreement_tflite_onnx"] == accuracy.engine_agreement


def test_the_report_needs_no_other_file_and_tells_the_verdict_first(
    exported: ExportResult,
) -> None:
    html = exported.outputs.report.read_text()
    assert len(html) < 3_000_000
    assert "<strong>PASSED</strong>" in html[:5000]
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(sources) > 10
    assert all(source.startswith("data:image/") for source in sources)
    assert "http" not in html.replace("data:", "")
    assert "Not proven" in html
    # Times are no part of the bundle, which has the same bytes every time.
    with open_bundle(exported) as bundle:
        inside = bundle.read("report.html").decode()
    assert ">time</th>" in html
    assert ">time</th>" not in inside
    assert "How int8 was made" in inside


def test_the_key_figure_is_a_png(exported: ExportResult) -> None:
    assert exported.outputs.figure is not None
    assert exported.outputs.figure.name == "blobs-1.2.3.png"
    assert exported.outputs.figure.read_bytes().startswith(b"\x89PNG")


def test_the_command_in_another_process_gives_the_same_bytes_and_says_what_it_does(
    exported: ExportResult, blobs: Example, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "linegate_runtime", "export", str(blobs.run.path),
            "--out", str(tmp_path), "--figures", str(tmp_path / "figures"), "--version", "1.2.3",
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "[7/10] Converting to int8 ONNX" in done.stdout
    assert "TFLite and ONNX agree on 100.00 % of 200" in done.stdout
    outputs_there = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(outputs_there) == 4
    outputs_here = sorted(path for path in exported.outputs.paths if path.exists())
    for there, here in zip(outputs_there, outputs_here, strict=True):
        assert there.name == here.name
        if there.suffix in {".linegate", ".png"}:
            assert there.read_bytes() == here.read_bytes()
    first, second = (
        json.loads(path.read_bytes())
        for path in (tmp_path / exported.outputs.accuracy.name, exported.outputs.accuracy)
    )
    assert first.pop("latency_ms").keys() == second.pop("latency_ms").keys()
    assert first == second


def test_three_labels_with_softmax_and_the_float_model_inside(
    three: Example, tmp_path: Path
) -> None:
    options = ExportOptions(
        run=three.run.path,
        out=tmp_path,
        name="bars",
        further=tuple(Further),
        embedding=True,
        interop=True,
        targets=PolicyTargets(vote_frames=1),
    )
    result = export(options)
    with open_bundle(result) as bundle:
        assert bundle.manifest.name == "bars"
        files = {entry.file for entry in bundle.manifest.models}
        assert files == {
            "model.int8.tflite",
            "model.int8.onnx",
            "model.float32.onnx",
            "model.float32.tflite",
            "model.float16.tflite",
        }
        for entry in bundle.manifest.models:
            assert entry.output("logits").shape == (1, 3)
            assert entry.output("embedding").shape == (1, 16)
        assert {check.outcome for check in verify(bundle)} == {Outcome.OK}
    assert result.outputs.interop == tmp_path / "bars-1.0.0.interop.tflite"
    assert b"blob" in result.outputs.interop.read_bytes()
    assert result.summary.test.defects == 133
    assert result.summary.test.int8_tflite.accuracy.share >= 0.9
    assert set(result.summary.test.further) == {"float32 TFLite", "float16 TFLite"}
    for measured in result.summary.test.further.values():
        assert measured.agreement_with_float == 1.0


def break_for_int8(model: Any) -> None:
    """Scale the stem's channels so far apart that one step of int8 swallows all but one.

    The function stays the same in float: the next layer takes the scales back.
    """
    stem, expand = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][:2]
    kernel, bias = stem.get_weights()
    factors = np.full(kernel.shape[-1], 1e-4)
    factors[0] = 1.0
    stem.set_weights([kernel * factors, bias * factors])
    kernel, bias = expand.get_weights()
    expand.set_weights([kernel / factors[:, None], bias])


@pytest.fixture(scope="module")
def broken(blobs: Example, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """A run whose float model is right and whose int8 model cannot be."""
    folder = tmp_path_factory.mktemp("broken")
    keras.utils.set_random_seed(1)
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    x = keras.layers.Conv2D(8, 1, activation="relu")(x)
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    model = keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))
    rows = read_split(blobs.run.split)
    nets.fit(model, rows, blobs.data, blobs.labels)
    break_for_int8(model)
    return nets.write_run(folder / "run", model, rows, blobs.data, blobs.labels)


def test_a_net_that_int8_ruins_leaves_a_report_and_no_bundle(
    broken: Example, tmp_path: Path
) -> None:
    stale = tmp_path / "blobs-1.0.0.linegate"
    stale.write_bytes(b"an older bundle that the report would contradict")
    (tmp_path / "blobs-1.0.0.interop.tflite").write_bytes(b"of the same older bundle")
    with pytest.raises(GateError, match="int8 TFLite loses against float32: expected at most"):
        export(
            ExportOptions(
                run=broken.run.path,
                out=tmp_path,
                repair=RepairOptions(repair=Repair.OFF),
                interop=True,
                force=True,
            )
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "blobs-1.0.0.accuracy.json",
        "blobs-1.0.0.report.html",
    ]
    html = (tmp_path / "blobs-1.0.0.report.html").read_text()
    assert "FAILED: no bundle was written" in html[:5000]
    figures = json.loads((tmp_path / "blobs-1.0.0.accuracy.json").read_bytes())
    assert figures["passed"] is False
    assert figures["test"]["float32"]["accuracy"]["share"] >= 0.8
    assert any(not check["passed"] for check in figures["checks"])


def test_a_net_that_plain_int8_ruins_is_repaired_and_the_report_says_how(
    broken: Example, tmp_path: Path
) -> None:
    result = export(ExportOptions(run=broken.run.path, out=tmp_path))
    assert result.summary.passed
    assert result.summary.attempts[-1].means is Means.EQUALIZATION
    assert min(one.error for one in result.summary.attempts[:-1]) > 0.5
    html = result.outputs.report.read_text()
    assert "plain int8 was not near enough, so it was repaired" in html


def refuse(run: Path, out: Path, kind: type[Exception], message: str, **options: Any) -> None:
    """The export raises, and nothing new lies in ``out``."""
    before = sorted(out.rglob("*"))
    with pytest.raises(kind, match=message):
        export(ExportOptions(run=run, out=out, **options))
    assert sorted(out.rglob("*")) == before


def test_an_existing_output_is_refused_before_the_work(blobs: Example, tmp_path: Path) -> None:
    (tmp_path / "blobs-1.0.0.accuracy.json").write_text("kept")
    refuse(blobs.run.path, tmp_path, ConfigError, r"accuracy\.json; give another --version")
    assert (tmp_path / "blobs-1.0.0.accuracy.json").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "1.0"}, "--version: expected"),
        ({"name": "My Model"}, "--name: expected"),
        ({"data": Path("/nowhere")}, r"/nowhere/.*\.png: cannot be read: No such file"),
    ],
)
def test_wrong_options_are_named(
    blobs: Example, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    refuse(blobs.run.path, tmp_path, (ConfigError, DataError), message, **options)  # type: ignore[arg-type]


def test_an_unfinished_run_is_refused(blobs: Example, tmp_path: Path) -> None:
    run = copy_run(blobs, tmp_path / "run")
    run.record.unlink()
    refuse(run.path, tmp_path, DataError, r"expected a run folder with run\.json")


def test_an_altered_model_is_refused(blobs: Example, tmp_path: Path) -> None:
    run = copy_run(blobs, tmp_path / "run")
    run.model.write_bytes(run.model.read_bytes() + b"x")
    refuse(run.path, tmp_path, DataError, "differs from the one that was trained")


def test_a_run_without_calibration_part_is_refused(blobs: Example, tmp_path: Path) -> None:
    rows = [row for row in read_split(blobs.run.split) if row.part is not Part.CALIBRATION]
    run = copy_run(blobs, tmp_path / "run")
    run.split.write_bytes(encode_split(rows))
    record = msgspec.structs.replace(blobs.run.read_record(), split_sha256=sha256_file(run.split))
    run.write_record(record)
    refuse(run.path, tmp_path, DataError, "in the part calibration of split.csv, got 0 good")


def test_a_label_without_test_pictures_is_refused(three: Example, tmp_path: Path) -> None:
    """Nobody could tell whether int8 still knows it."""
    rows = [
        row
        for row in read_split(three.run.split)
        if row.part is not Part.TEST or row.label != "bar"
    ]
    run = copy_run(three, tmp_path / "run")
    run.split.write_bytes(encode_split(rows))
    record = msgspec.structs.replace(three.run.read_record(), split_sha256=sha256_file(run.split))
    run.write_record(record)
    refuse(run.path, tmp_path, DataError, "in the part test of split.csv, there are none of bar")


@pytest.mark.parametrize(
    "changes", [{"fit": Fit.LETTERBOX}, {"region": Region(x=0, y=0, width=0.5, height=1)}]
)
def test_what_other_programs_would_not_do_to_a_picture_is_no_interop(
    blobs: Example, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = copy_run(blobs, tmp_path / "run")
    record = run.read_record()
    preprocess = msgspec.structs.replace(record.preprocess, **changes)
    run.write_record(msgspec.structs.replace(record, preprocess=preprocess))
    refuse(run.path, tmp_path, ConfigError, "--interop: expected a model that", interop=True)


def test_labels_that_do_not_fit_the_model_are_refused(
    blobs: Example, three: Example, tmp_path: Path
) -> None:
    run = copy_run(three, tmp_path / "run")
    run.model.write_bytes(blobs.run.model.read_bytes())
    record = msgspec.structs.replace(three.run.read_record(), model_sha256=sha256_file(run.model))
    run.write_record(record)
    refuse(run.path, tmp_path, DataError, r"logits for the labels .* of shape \(None, 3\)")


def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    blobs: Example, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    refuse(blobs.run.path, tmp_path / "file", OutputError, "cannot be made")


def test_a_folder_with_the_name_of_an_output_is_told_before_the_work(
    blobs: Example, tmp_path: Path
) -> None:
    (tmp_path / "blobs-1.0.0.linegate").mkdir()
    refuse(blobs.run.path, tmp_path, ConfigError, "expected a file or nothing", force=True)
