"""From what the artifacts say about pictures to all figures and the gate's verdict.

Pure: what was measured goes in, findings come out.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from linegate_bundle.manifest import AccuracyReport, Label, ModelFormat, Precision
from linegate_bundle.run_folder import RunRecord
from linegate_export.certificate import certify
from linegate_export.conversion import Artifact
from linegate_export.evaluate import Evaluation, Score, score
from linegate_export.findings import FLOAT32, INT8_ONNX, INT8_TFLITE, Findings
from linegate_export.gate import GateLimits, Reached, judge_artifacts
from linegate_export.measured import tabulate
from linegate_export.paired import compare
from linegate_export.pictures import Pictures
from linegate_export.policy import PolicyTargets, choose_policy, count_verdicts
from linegate_export.quantization.errors import OperatorError
from linegate_export.quantization.recipe import Attempt
from linegate_export.summary import OnTestPart, Summary, accuracy_report, on_calibration_part
from linegate_report.statistics import disagreements


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """Every artifact on the test part, and int8 TFLite on the calibration part too.

    Attributes:
        float32: ONNX.
        tflite: int8.
        onnx: int8.
        further: others that were asked for.
        tflite_calibration: int8 TFLite on the calibration part.
    """

    float32: Evaluation
    tflite: Evaluation
    onnx: Evaluation
    further: tuple[Evaluation, ...]
    tflite_calibration: Evaluation

    @property
    def by_title(self) -> dict[str, Evaluation]:
        """The artifacts on the test part, float32 first, then int8."""
        return {
            FLOAT32: self.float32,
            INT8_TFLITE: self.tflite,
            INT8_ONNX: self.onnx,
            **{title(one.artifact): one for one in self.further},
        }

    @property
    def engine_spread(self) -> float:
        """Largest difference of a logit between the two int8 artifacts."""
        return float(np.abs(self.tflite.logits - self.onnx.logits).max())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What a report says beside the figures.

    Attributes:
        name: of the bundle.
        version: of the bundle.
        record: of the run.
        limits: of the gate.
        targets: of the thresholds.
        attempts: what was tried for int8.
        errors: of int8 TFLite's operators.
        images: pictures by part of the split.
        versions: of the libraries that took part.
    """

    name: str
    version: str
    record: RunRecord
    limits: GateLimits
    targets: PolicyTargets
    attempts: tuple[Attempt, ...]
    errors: tuple[OperatorError, ...]
    images: Mapping[str, int]
    versions: Mapping[str, str]


def title(artifact: Artifact) -> str:
    """Return how an artifact is called in tables."""
    entry = artifact.entry
    if (entry.precision, entry.format) == (Precision.FLOAT32, ModelFormat.ONNX):
        return FLOAT32
    return f"{entry.precision} {_FORMATS[entry.format]}"


_FORMATS = {ModelFormat.TFLITE: "TFLite", ModelFormat.ONNX: "ONNX"}


def assess(
    context: Context, evaluations: Evaluations, test: Pictures, calibration: Pictures
) -> Findings:
    """Choose the thresholds, hold everything against the truth and the gate's limits.

    Args:
        context: what else is to be told.
        evaluations: what the artifacts say.
        test: the pictures of the test part.
        calibration: the pictures of the calibration part.
    """
    labels = context.record.labels
    calibrated = evaluations.tflite_calibration.defect_probability(labels)
    policy = choose_policy(calibrated, calibration.rows, labels, context.targets)
    scores = {
        name: score(one, test, labels, policy, evaluations.float32)
        for name, one in evaluations.by_title.items()
    }
    float32 = scores[FLOAT32]
    others = {name: scored for name, scored in scores.items() if name != FLOAT32}
    paired = {
        name: compare(float32.decisions, scored.decisions, test.labels, labels)
        for name, scored in others.items()
    }
    gate = judge_artifacts(
        images=len(test),
        artifacts={
            name: Reached(paired[name], float32.accuracy.auc - scored.accuracy.auc)
            for name, scored in others.items()
        },
        disagreements=disagreements(scores[INT8_TFLITE].labels, scores[INT8_ONNX].labels),
        limits=context.limits,
    )
    accuracy = accuracy_report(
        len(test), int(test.defective(labels).sum()), float32, tuple(others.values())
    )
    entry = evaluations.tflite_calibration.artifact.entry
    proofs = certify(calibrated, calibration.rows, labels, policy, context.targets, entry=entry)
    return Findings(
        summary=Summary(
            name=context.name,
            version=context.version,
            created=context.record.created,
            passed=gate.passed,
            checks=gate.checks,
            test=_on_test_part(test, labels, scores, accuracy),
            paired=paired,
            policy=policy,
            calibration=on_calibration_part(
                count_verdicts(calibrated, calibration.defective(labels), policy)
            ),
            certificate=proofs.certificate,
            unproven=proofs.unproven,
            attempts=context.attempts,
            operators=context.errors,
        ),
        accuracy=accuracy,
        record=context.record,
        test=test,
        scores=scores,
        targets=context.targets,
        engine_spread=evaluations.engine_spread,
        images=dict(context.images),
        versions=dict(context.versions),
    )


def _on_test_part(
    test: Pictures, labels: Sequence[Label], scores: Mapping[str, Score], accuracy: AccuracyReport
) -> OnTestPart:
    tables = {name: tabulate(scored, test, labels) for name, scored in scores.items()}
    return OnTestPart(
        n=len(test),
        defects=accuracy.defects,
        groups=len({row.group for row in test.rows}),
        float32=tables.pop(FLOAT32),
        int8_tflite=tables.pop(INT8_TFLITE),
        int8_onnx=tables.pop(INT8_ONNX),
        further=tables,
        agreement_tflite_onnx=accuracy.engine_agreement,
    )
