"""From a run folder to a bundle that passed its accuracy gate.

Beside ``NAME-VERSION.linegate`` lie ``NAME-VERSION.report.html`` for people and
``NAME-VERSION.accuracy.json`` for machines. If the gate says no, those two are
written and no bundle.
"""

import dataclasses
import importlib.metadata
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from linegate_bundle.bundle import REPORT
from linegate_bundle.errors import ConfigError, GateError
from linegate_bundle.manifest import (
    NAME_PATTERN,
    SCHEMA_VERSION,
    VERSION_PATTERN,
    Colour,
    DecisionPolicy,
    Fit,
    Manifest,
    Precision,
    PreprocessSpec,
    Provenance,
)
from linegate_bundle.run_folder import Part, RunFolder, RunRecord, SplitRow, read_split
from linegate_export import conversions, graph, reference, tflite_interop
from linegate_export.assess import Context, Evaluations, assess
from linegate_export.conversion import Artifact
from linegate_export.evaluate import Evaluation, class_maps, evaluate
from linegate_export.findings import FLOAT32, INT8_ONNX, INT8_TFLITE, Findings
from linegate_export.gate import GateResult
from linegate_export.golden import Golden, choose_frames, make_golden, tolerance
from linegate_export.latency import measure_latency
from linegate_export.options import ExportOptions, Further
from linegate_export.outputs import Outputs
from linegate_export.pictures import (
    Pictures,
    check_split,
    choose_for_int8,
    load_pictures,
)
from linegate_export.progress import Steps
from linegate_export.report import MOST_FLIPS, Maps, key_figure, render
from linegate_export.summary import Summary, encode_summary

MINIMUM_RUNTIME = "0.1.0"
"""The first runtime that reads the bundles written here."""

_STEPS = 6 + conversions.STEPS
_COMPARED_FOR_INTEROP = 32
_TOOLS = (
    "ai-edge-litert",
    "keras",
    "linegate",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "tensorflow",
    "tensorflow-cpu",
    "tf2onnx",
)


_FLOAT_TFLITE = {
    Further.FLOAT32_TFLITE: Precision.FLOAT32,
    Further.FLOAT16_TFLITE: Precision.FLOAT16,
}


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """A finished export: its files, the bundle's SHA-256 and all figures."""

    outputs: Outputs
    sha256: str
    summary: Summary


@dataclasses.dataclass(frozen=True)
class _Source:
    """The run as read from disk, and all pictures that the export needs."""

    record: RunRecord
    rows: tuple[SplitRow, ...]
    folder: Path
    test: Pictures
    calibration: Pictures
    samples: conversions.Samples


def export(options: ExportOptions, write: Callable[[str], None] = lambda _: None) -> ExportResult:
    """Export a run; the same run gives the same bundle, byte for byte, with the same libraries.

    Args:
        options: what to export and where to.
        write: takes lines that say what is being done.

    Raises:
        ConfigError: an option is wrong, or an output exists already.
        DataError: the run folder, its model or its pictures are not usable.
        GateError: a conversion did not do what was asked, or the gate said no; then
            the report is written, and the message says where it is.
        EngineError: an engine is missing or fails.
        OutputError: the files cannot be written.
    """
    steps = Steps(_STEPS, write)
    steps("Reading the run folder")
    folder = RunFolder(options.run)
    record = folder.read_record()
    rows = tuple(read_split(folder.split))
    check_split(rows, record.labels)
    outputs = _plan(options, record)
    source = _read_pictures(options, record, rows, steps)
    steps(f"Loading {folder.model}")
    model = graph.cut(graph.load_model(folder.model), record, embedding=options.embedding)
    making = conversions.Making(
        repair=options.repair,
        float_tflite=tuple(_FLOAT_TFLITE[one] for one in _FLOAT_TFLITE if one in options.further),
    )
    converted = conversions.convert_all(model, source.samples, record, making, steps)
    evaluations = _measure(model, converted, source, steps)
    steps("Choosing thresholds, judging, writing the report")
    context = _context(options, source, converted)
    findings = assess(context, evaluations, source.test, source.calibration)
    maps = _class_maps(findings)
    sidecars = _sidecars(outputs, source, findings, maps, interop=options.interop)
    if not findings.summary.passed:
        outputs.write_failed(sidecars)
        failures = GateResult(checks=findings.summary.checks).failures
        raise GateError(
            f"the accuracy gate says no, no bundle was written: {failures}; "
            f"{outputs.report} shows why"
        )
    steps("Writing the bundle with its golden frames")
    shipped = _shipped(options, evaluations)
    golden = _golden(source, evaluations, shipped, findings.summary.policy, model)
    manifest = _manifest(findings, shipped, golden)
    members = {artifact.entry.file: artifact.content for artifact in shipped}
    members |= {**golden.members, REPORT: render(findings, maps=maps)}
    return ExportResult(
        outputs, outputs.write_passed(manifest, members, sidecars), findings.summary
    )


def _plan(options: ExportOptions, record: RunRecord) -> Outputs:
    name = record.name if options.name is None else options.name
    for option, value, pattern in (
        ("--name", name, NAME_PATTERN),
        ("--version", options.version, VERSION_PATTERN),
    ):
        if not re.fullmatch(pattern, value):
            raise ConfigError(f"{option}: expected {pattern}, got {value!r}")
    if options.interop:
        _check_interop(record.preprocess)
    outputs = Outputs.plan(options.out, name, options.version, options.figures)
    outputs.refuse_other_things()
    if not options.force:
        outputs.refuse_existing()
    outputs.make_folders()
    return outputs


def _check_interop(spec: PreprocessSpec) -> None:
    """Refuse what other programs would not do to a picture, for they have no manifest."""
    if spec.colour is not Colour.RGB:
        raise ConfigError(
            f"--interop: expected a model that takes colour, got {spec.colour}; MediaPipe opens "
            "no other"
        )
    if spec.fit is not Fit.STRETCH or spec.region is not None:
        raise ConfigError(
            "--interop: expected a model that takes the whole picture, stretched; other programs "
            f"know neither regions nor bars, got fit {spec.fit} and region {spec.region}"
        )


def _read_pictures(
    options: ExportOptions, record: RunRecord, rows: tuple[SplitRow, ...], steps: Steps
) -> _Source:
    folder = Path(record.data) if options.data is None else options.data
    counts = Counter(row.part for row in rows)
    steps(
        f"Reading pictures from {folder}: {counts[Part.TEST]} to test with, "
        f"{counts[Part.CALIBRATION]} for the thresholds"
    )

    def load(chosen: Iterable[SplitRow], title: str) -> Pictures:
        return load_pictures(chosen, folder, record.preprocess, title)

    representative, held_out = choose_for_int8(rows)
    return _Source(
        record=record,
        rows=rows,
        folder=folder,
        test=load((row for row in rows if row.part is Part.TEST), "test"),
        calibration=load((row for row in rows if row.part is Part.CALIBRATION), "calibration"),
        samples=conversions.Samples(
            ranges=load(representative, "representative").pixels,
            held_out=load(held_out, "held out").pixels,
        ),
    )


def _measure(
    model: graph.Deployable, models: conversions.Converted, source: _Source, steps: Steps
) -> Evaluations:
    steps("Measuring all models through the device's own path")

    def measure(artifact: Artifact, pictures: Pictures, title: str) -> Evaluation:
        return evaluate(artifact, pictures.pixels, source.record.activation, title)

    evaluations = Evaluations(
        float32=measure(models.float32, source.test, FLOAT32),
        tflite=measure(models.tflite, source.test, INT8_TFLITE),
        onnx=measure(models.onnx, source.test, INT8_ONNX),
        further=tuple(measure(one, source.test, one.entry.file) for one in models.further),
        tflite_calibration=measure(models.tflite, source.calibration, "calibration"),
    )
    difference = reference.ensure_same(model, evaluations.float32, source.test.pixels)
    steps.note(f"float32 ONNX gives the logits of Keras within {difference:.1g}")
    return evaluations


def _context(options: ExportOptions, source: _Source, converted: conversions.Converted) -> Context:
    record = source.record
    return Context(
        name=record.name if options.name is None else options.name,
        version=options.version,
        record=record,
        limits=options.limits,
        targets=options.targets,
        attempts=converted.attempts,
        errors=converted.errors,
        images={part.value: sum(row.part is part for row in source.rows) for part in Part},
        versions=_versions(record),
    )


def _class_maps(findings: Findings) -> Maps:
    """Return the maps of float and int8 for the pictures that the report shows with them."""
    places = findings.flips[:MOST_FLIPS]
    before, after = (
        class_maps(score.evaluation.artifact, findings.test.pixels[places])
        for score in (findings.float32, findings.tflite)
    )
    if before is None or after is None:
        return {}
    return dict(zip(places, zip(before, after, strict=True), strict=True))


def _sidecars(
    outputs: Outputs, source: _Source, findings: Findings, maps: Maps, *, interop: bool
) -> dict[Path, bytes]:
    """Return what lies beside the bundle.

    Times are told only here: the bundle has the same bytes every time.
    """
    artifacts = {name: score.evaluation.artifact for name, score in findings.scores.items()}
    latency = measure_latency(artifacts, source.test.pixels)
    sidecars = {
        outputs.report: render(findings, latency, maps),
        outputs.accuracy: encode_summary(findings.summary, latency),
    }
    if outputs.figure is not None:
        sidecars[outputs.figure] = key_figure(findings)
    if interop and findings.summary.passed:
        sidecars[outputs.interop] = tflite_interop.convert(
            artifacts[INT8_TFLITE],
            source.record.labels,
            source.record.activation,
            source.test.pixels[:_COMPARED_FOR_INTEROP],
        )
    return sidecars


def _shipped(options: ExportOptions, evaluations: Evaluations) -> list[Artifact]:
    chosen = [evaluations.tflite, evaluations.onnx, *evaluations.further]
    if Further.FLOAT32_ONNX in options.further:
        chosen.append(evaluations.float32)
    return [evaluation.artifact for evaluation in chosen]


def _golden(
    source: _Source,
    evaluations: Evaluations,
    shipped: list[Artifact],
    policy: DecisionPolicy,
    model: graph.Deployable,
) -> Golden:
    record = source.record
    names = [label.name for label in record.labels]
    chosen = choose_frames(
        evaluations.tflite.probabilities,
        evaluations.tflite.defect_probability(record.labels),
        [names.index(label) for label in source.test.labels],
        record.labels,
        policy,
    )
    largest = float(np.abs(evaluations.float32.logits).max())
    return make_golden(
        [source.test.rows[index] for index in chosen],
        source.folder,
        record.preprocess,
        record.activation,
        [
            (artifact, tolerance(artifact.entry, evaluations.engine_spread, largest))
            for artifact in shipped
        ],
        normalization=model.normalization,
    )


def _manifest(findings: Findings, shipped: list[Artifact], golden: Golden) -> Manifest:
    summary, record = findings.summary, findings.record
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=summary.name,
        version=summary.version,
        created=summary.created,
        minimum_runtime=MINIMUM_RUNTIME,
        labels=record.labels,
        preprocess=record.preprocess,
        activation=record.activation,
        models=tuple(artifact.entry for artifact in shipped),
        policy=summary.policy,
        certificate=summary.certificate,
        accuracy=findings.accuracy,
        golden=golden.frames,
        provenance=Provenance(
            network=record.network,
            weights=record.weights,
            seed=record.seed,
            data_sha256=record.data_sha256,
            split_sha256=record.split_sha256,
            images=findings.images,
            coloured=record.coloured,
            versions=findings.versions,
        ),
        members={},
    )


def _versions(record: RunRecord) -> dict[str, str]:
    """Return the versions of the training as recorded, and those of the export behind a prefix."""
    versions = dict(record.versions)
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-")
        if name in _TOOLS:
            versions[f"export.{name}"] = distribution.version
    return dict(sorted(versions.items()))
