"""The result of an export as data: ``NAME-VERSION.accuracy.json`` and the manifest's report."""

from collections.abc import Mapping

import msgspec

from linegate_bundle.manifest import (
    AccuracyReport,
    Certificate,
    DecisionPolicy,
)
from linegate_export.certificate import Unproven
from linegate_export.evaluate import Score
from linegate_export.gate import Check
from linegate_export.measured import Measured, Rate, rate
from linegate_export.paired import Paired
from linegate_export.policy import VerdictCounts
from linegate_export.quantization.errors import OperatorError
from linegate_export.quantization.recipe import Attempt
from linegate_report.statistics import agreement


class OnTestPart(msgspec.Struct, frozen=True, kw_only=True):
    """All artifacts on the same ``n`` test pictures, ``defects`` of them defective.

    ``further`` are those that were asked for, by title.
    """

    n: int
    defects: int
    groups: int
    float32: Measured
    int8_tflite: Measured
    int8_onnx: Measured
    further: dict[str, Measured]
    agreement_tflite_onnx: float


class OnCalibrationPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the thresholds do on the calibration part that they were chosen on."""

    n: int
    escape_rate: Rate
    false_reject_rate: Rate
    unsure_rate: Rate


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an export measured; the file for machines.

    ``paired`` holds each artifact against the float model, on the test part; ``attempts`` is what
    was tried for int8, ``operators`` what each operator of int8 TFLite loses.
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
    attempts: tuple[Attempt, ...]
    operators: tuple[OperatorError, ...]


def encode_summary(summary: Summary, latency: Mapping[str, float]) -> bytes:
    """Write a summary as indented JSON, with milliseconds of one inference by artifact."""
    content = {**msgspec.to_builtins(summary), "latency_ms": dict(latency)}
    return (
        msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=2) + b"\n"
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
    """Return the manifest's accuracy report; ``artifacts`` begin with int8 TFLite and ONNX."""
    first, second, *_ = artifacts
    return AccuracyReport(
        images=images,
        defects=defects,
        float32=float32.accuracy,
        artifacts=tuple(score.accuracy for score in artifacts),
        engine_agreement=agreement(first.labels, second.labels),
    )
