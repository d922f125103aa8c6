"""The result of an export as data: ``NAME-VERSION.accuracy.json`` and the manifest's report."""

import msgspec

from linegate_bundle.manifest import (
    AccuracyReport,
    ArtifactAccuracy,
    Certificate,
    DecisionPolicy,
    Interval,
    ModelFormat,
)
from linegate_export.certificate import Unproven
from linegate_export.evaluate import Score
from linegate_export.gate import Check
from linegate_export.paired import Paired
from linegate_export.policy import VerdictCounts
from linegate_report.statistics import agreement, exact_interval


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact on the test part; ``interval`` is the exact 95 % one of ``accuracy``."""

    accuracy: float
    interval: tuple[float, float]
    auc: float
    escapes: int
    false_rejects: int
    unsure: int
    agreement_with_float: float
    size_bytes: int


class OnTestPart(msgspec.Struct, frozen=True, kw_only=True):
    """All artifacts on the same ``n`` test pictures."""

    n: int
    defects: int
    float32: Measured
    int8_tflite: Measured
    int8_onnx: Measured
    agreement_tflite_onnx: float


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A count as a share of all, with its exact 95 % interval."""

    count: int
    of: int
    share: float
    interval: Interval


class OnCalibrationPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the thresholds do on the calibration part that they were chosen on."""

    n: int
    escape_rate: Rate
    false_reject_rate: Rate
    unsure_rate: Rate


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an export measured; the file for machines.

    ``paired`` holds each int8 artifact against the float model, on the test part.
    """

    name: str
    version: str
    created: str
    passed: bool
    checks: tuple[Check, ...]
    test: OnTestPart
    paired: dict[str, Paired]
    policy: DecisionPolicy
    calibration: OnCalibrationPart
    certificate: Certificate | None
    unproven: tuple[Unproven, ...]


def encode_summary(summary: Summary) -> bytes:
    """Write a summary as indented JSON; the same in, the same out."""
    return (
        msgspec.json.format(msgspec.json.encode(summary, order="deterministic"), indent=2) + b"\n"
    )


def rate(count: int, of: int) -> Rate:
    """Return a count as a share; of nothing it is zero, and its interval says nothing."""
    return Rate(
        count=count, of=of, share=count / of if of else 0.0, interval=exact_interval(count, of)
    )


def on_calibration_part(counts: VerdictCounts) -> OnCalibrationPart:
    """Turn counts on the calibration part into rates."""
    total = counts.defects + counts.goods
    return OnCalibrationPart(
        n=total,
        escape_rate=rate(counts.escapes, counts.defects),
        false_reject_rate=rate(counts.false_rejects, counts.goods),
        unsure_rate=rate(counts.unsure, total),
    )


def accuracy_report(
    images: int, defects: int, float32: Score, artifacts: tuple[Score, ...]
) -> AccuracyReport:
    """Return the manifest's accuracy report; ``artifacts`` are int8 TFLite and int8 ONNX."""
    first, second = artifacts
    return AccuracyReport(
        images=images,
        defects=defects,
        float32=float32.accuracy,
        artifacts=tuple(score.accuracy for score in artifacts),
        engine_agreement=agreement(first.labels, second.labels),
    )


def on_test_part(report: AccuracyReport, sizes: dict[str, int]) -> OnTestPart:
    """Return the figures under fixed names; ``sizes`` are bytes by artifact."""
    by_format = {entry.artifact.rsplit(".", 1)[-1]: entry for entry in report.artifacts}
    return OnTestPart(
        n=report.images,
        defects=report.defects,
        float32=_measured(report.float32, sizes),
        int8_tflite=_measured(by_format[ModelFormat.TFLITE.value], sizes),
        int8_onnx=_measured(by_format[ModelFormat.ONNX.value], sizes),
        agreement_tflite_onnx=report.engine_agreement,
    )


def _measured(entry: ArtifactAccuracy, sizes: dict[str, int]) -> Measured:
    return Measured(
        accuracy=entry.accuracy,
        interval=(entry.accuracy_95.low, entry.accuracy_95.high),
        auc=entry.auc,
        escapes=entry.escapes,
        false_rejects=entry.false_rejects,
        unsure=entry.unsure,
        agreement_with_float=entry.agreement_with_float,
        size_bytes=sizes[entry.artifact],
    )
