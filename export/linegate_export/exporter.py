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
    DecisionPolicy,
    Manifest,
    Provenance,
)
from linegate_bundle.run_folder import Part, RunFolder, RunRecord, SplitRow, read_split
from linegate_export import conversions, graph, reference
from linegate_export.certificate import certify
from linegate_export.conversion import Artifact
from linegate_export.evaluate import Evaluation, evaluate, score
from linegate_export.gate import GateLimits, GateResult, Reached, judge_artifacts
from linegate_export.golden import Golden, choose_frames, make_golden, tolerance
from linegate_export.measured import tabulate
from linegate_export.outputs import Outputs
from linegate_export.paired import compare
from linegate_export.pictures import (
    Pictures,
    check_split,
    choose_held_out,
    choose_representative,
    load_pictures,
)
from linegate_export.policy import PolicyTargets, choose_policy, count_verdicts
from linegate_export.progress import Steps
from linegate_export.quantization.ladder import RepairOptions
from linegate_export.report import INT8_ONNX, INT8_TFLITE, Findings, key_figure, render
from linegate_export.summary import (
    OnTestPart,
    Summary,
    accuracy_report,
    encode_summary,
    on_calibration_part,
)
from linegate_report.statistics import disagreements

MINIMUM_RUNTIME = "0.1.0"
"""The first runtime that reads the bundles written here."""

REPRESENTATIVE_PICTURES = 384
HELD_OUT_PICTURES = 256
_STEPS = 6 + conversions.STEPS
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export, where to, and what it must reach.

    Attributes:
        run: the run folder.
        out: folder for the bundle and its report; made if it is not there.
        version: of the bundle, ``X.Y.Z``.
        name: of the bundle; None takes the run's.
        data: folder of the pictures; None takes the one of the training.
        figures: folder for the key figure as PNG; None makes none.
        limits: what the gate lets through.
        targets: what the thresholds must reach.
        repair: when int8 is repaired before the gate sees it.
        with_float32: put the float ONNX model into the bundle too.
        force: replace files that are there already.
    """

    run: Path
    out: Path
    version: str = "1.0.0"
    name: str | None = None
    data: Path | None = None
    figures: Path | None = None
    limits: GateLimits = dataclasses.field(default_factory=GateLimits)
    targets: PolicyTargets = dataclasses.field(default_factory=PolicyTargets)
    repair: RepairOptions = dataclasses.field(default_factory=RepairOptions)
    with_float32: bool = False
    force: bool = False


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


@dataclasses.dataclass(frozen=True)
class _Measured:
    """Every artifact on the test part, and int8 TFLite on the calibration part too."""

    float32: Evaluation
    tflite: Evaluation
    onnx: Evaluation
    tflite_calibration: Evaluation

    @property
    def engine_spread(self) -> float:
        """Largest difference of a logit between the two int8 artifacts."""
        return float(np.abs(self.tflite.logits - self.onnx.logits).max())


def export(options: ExportOptions, write: Callable[[str], None] = lambda _: None) -> ExportResult:
    """Export a run; the same run gives the same bytes with the same libraries.

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
    model = graph.cut(graph.load_model(folder.model), record)
    measured = _measure(
        model,
        conversions.convert_all(model, source.samples, record, options.repair, steps),
        source,
        steps,
    )
    steps("Choosing thresholds, judging, writing the report")
    policy = choose_policy(
        measured.tflite_calibration.defect_probability(record.labels),
        source.calibration.truth(record.labels),
        options.targets,
    )
    findings = _findings(options, source, measured, policy)
    report = render(findings)
    sidecars = {outputs.report: report, outputs.accuracy: encode_summary(findings.summary)}
    if outputs.figure is not None:
        sidecars[outputs.figure] = key_figure(findings)
    if not findings.summary.passed:
        outputs.write_failed(sidecars)
        failures = GateResult(checks=findings.summary.checks).failures
        raise GateError(
            f"the accuracy gate says no, no bundle was written: {failures}; "
            f"{outputs.report} shows why"
        )
    steps("Writing the bundle with its golden frames")
    golden = _golden(source, measured, policy, with_float32=options.with_float32)
    shipped = _shipped(measured, with_float32=options.with_float32)
    manifest = _manifest(findings, shipped, golden)
    members = {artifact.entry.file: artifact.content for artifact in shipped}
    digest = outputs.write_passed(manifest, {**members, **golden.members, REPORT: report}, sidecars)
    return ExportResult(outputs, digest, findings.summary)


def _plan(options: ExportOptions, record: RunRecord) -> Outputs:
    name = record.name if options.name is None else options.name
    for option, value, pattern in (
        ("--name", name, NAME_PATTERN),
        ("--version", options.version, VERSION_PATTERN),
    ):
        if not re.fullmatch(pattern, value):
            raise ConfigError(f"{option}: expected {pattern}, got {value!r}")
    outputs = Outputs.plan(options.out, name, options.version, options.figures)
    outputs.refuse_other_things()
    if not options.force:
        outputs.refuse_existing()
    outputs.make_folders()
    return outputs


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

    representative = choose_representative(rows, REPRESENTATIVE_PICTURES)
    held_out = choose_held_out(rows, representative, HELD_OUT_PICTURES)
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
) -> _Measured:
    steps("Measuring all models through the device's own path")

    def measure(artifact: Artifact, pictures: Pictures, title: str) -> Evaluation:
        return evaluate(artifact, pictures.pixels, source.record.activation, title)

    measured = _Measured(
        float32=measure(models.float32, source.test, "float32"),
        tflite=measure(models.tflite, source.test, INT8_TFLITE),
        onnx=measure(models.onnx, source.test, INT8_ONNX),
        tflite_calibration=measure(models.tflite, source.calibration, "calibration"),
    )
    difference = reference.ensure_same(model, measured.float32, source.test.pixels)
    steps.note(f"float32 ONNX gives the logits of Keras within {difference:.1g}")
    return measured


def _findings(
    options: ExportOptions, source: _Source, measured: _Measured, policy: DecisionPolicy
) -> Findings:
    record, test = source.record, source.test
    float32, tflite, onnx = (
        score(evaluation, test, record.labels, policy, measured.float32)
        for evaluation in (measured.float32, measured.tflite, measured.onnx)
    )
    paired = {
        name: compare(float32.decisions, scored.decisions, test.labels, record.labels)
        for name, scored in ((INT8_TFLITE, tflite), (INT8_ONNX, onnx))
    }
    gate = judge_artifacts(
        images=len(test),
        artifacts={
            name: Reached(paired[name], float32.accuracy.auc - scored.accuracy.auc)
            for name, scored in ((INT8_TFLITE, tflite), (INT8_ONNX, onnx))
        },
        disagreements=disagreements(tflite.labels, onnx.labels),
        limits=options.limits,
    )
    accuracy = accuracy_report(
        len(test), int(test.defective(record.labels).sum()), float32, (tflite, onnx)
    )
    calibration = count_verdicts(
        measured.tflite_calibration.defect_probability(record.labels),
        source.calibration.defective(record.labels),
        policy,
    )
    proofs = certify(
        measured.tflite_calibration.defect_probability(record.labels),
        source.calibration.rows,
        record.labels,
        policy,
        options.targets,
    )
    return Findings(
        summary=Summary(
            name=record.name if options.name is None else options.name,
            version=options.version,
            created=record.created,
            passed=gate.passed,
            checks=gate.checks,
            test=OnTestPart(
                n=len(test),
                defects=accuracy.defects,
                groups=len({row.group for row in test.rows}),
                float32=tabulate(float32, test, record.labels),
                int8_tflite=tabulate(tflite, test, record.labels),
                int8_onnx=tabulate(onnx, test, record.labels),
                agreement_tflite_onnx=accuracy.engine_agreement,
            ),
            paired=paired,
            policy=policy,
            calibration=on_calibration_part(calibration),
            certificate=proofs.certificate,
            unproven=proofs.unproven,
        ),
        accuracy=accuracy,
        record=record,
        test=test,
        float32=float32,
        tflite=tflite,
        onnx=onnx,
        targets=options.targets,
        engine_spread=measured.engine_spread,
        images={part.value: sum(row.part is part for row in source.rows) for part in Part},
        versions=_versions(record),
    )


def _shipped(measured: _Measured, *, with_float32: bool) -> list[Artifact]:
    evaluations = [measured.tflite, measured.onnx]
    if with_float32:
        evaluations.append(measured.float32)
    return [evaluation.artifact for evaluation in evaluations]


def _golden(
    source: _Source, measured: _Measured, policy: DecisionPolicy, *, with_float32: bool
) -> Golden:
    record = source.record
    names = [label.name for label in record.labels]
    chosen = choose_frames(
        measured.tflite.probabilities,
        measured.tflite.defect_probability(record.labels),
        [names.index(label) for label in source.test.labels],
        policy,
    )
    largest = float(np.abs(measured.float32.logits).max())
    return make_golden(
        [source.test.rows[index] for index in chosen],
        source.folder,
        record.preprocess,
        record.activation,
        [
            (artifact, tolerance(artifact.entry, measured.engine_spread, largest))
            for artifact in _shipped(measured, with_float32=with_float32)
        ],
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
