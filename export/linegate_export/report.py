"""The report for people: one HTML file that needs no network and no other file."""

import dataclasses

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import AccuracyReport, Verdict
from linegate_bundle.run_folder import RunRecord
from linegate_export import figures
from linegate_export.evaluate import Score
from linegate_export.measured import Measured
from linegate_export.pictures import Pictures
from linegate_export.policy import PolicyTargets
from linegate_export.summary import Summary
from linegate_report.figure import confusion, to_png, to_svg_uri
from linegate_report.page import Picture, environment, thumbnail

_MOST_EXAMPLES = 8
_MOST_ERRORS = 12
_MOST_FLIPS = 12

FLOAT32 = "float32"
INT8_TFLITE = "int8 TFLite"
INT8_ONNX = "int8 ONNX"


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that a report tells.

    Attributes:
        summary: the figures.
        accuracy: the figures as the manifest has them.
        record: the run that was exported.
        test: the test pictures.
        float32: the float model on them.
        tflite: int8 TFLite on them; what the pictures and the histogram show.
        onnx: int8 ONNX on them.
        targets: what the thresholds were chosen for.
        engine_spread: largest difference of a logit between int8 TFLite and int8 ONNX.
        images: pictures by part of the split.
        versions: of the libraries that took part.
    """

    summary: Summary
    accuracy: AccuracyReport
    record: RunRecord
    test: Pictures
    float32: Score
    tflite: Score
    onnx: Score
    targets: PolicyTargets
    engine_spread: float
    images: dict[str, int]
    versions: dict[str, str]

    @property
    def table(self) -> tuple[tuple[str, Measured], ...]:
        """Every artifact's figures by its title."""
        test = self.summary.test
        return (
            (FLOAT32, test.float32),
            (INT8_TFLITE, test.int8_tflite),
            (INT8_ONNX, test.int8_onnx),
        )

    @property
    def scores(self) -> tuple[tuple[str, Score], ...]:
        """Every artifact by its title."""
        return ((FLOAT32, self.float32), (INT8_TFLITE, self.tflite), (INT8_ONNX, self.onnx))


def render(findings: Findings) -> bytes:
    """Return the report as UTF-8 HTML; the same in, the same out."""
    labels = [label.name for label in findings.record.labels]
    text = (
        environment("linegate_export")
        .get_template("report.html.j2")
        .render(
            findings=findings,
            summary=findings.summary,
            record=findings.record,
            entries=[score.evaluation.artifact.entry for _, score in findings.scores],
            table=findings.table,
            roc=to_svg_uri(figures.roc(_scored(findings), _defective(findings))),
            histogram=to_svg_uri(
                figures.histogram(
                    findings.tflite.evaluation.defect_probability(findings.record.labels),
                    _defective(findings),
                    findings.summary.policy,
                )
            ),
            confusion=to_svg_uri(confusion(findings.test.labels, findings.tflite.labels, labels)),
            examples=_examples(findings),
            errors=_errors(findings),
            flips=_flips(findings),
            flip_count=len(_flipped(findings)),
            error_count=len(findings.test) - findings.tflite.correct,
        )
    )
    return text.encode()


def key_figure(findings: Findings) -> bytes:
    """Return the one picture that tells the export, as PNG."""
    scored = _scored(findings)
    return to_png(
        figures.key_figure(scored, _defective(findings), findings.summary.policy, scored[1])
    )


def _scored(findings: Findings) -> list[figures.Scored]:
    return [
        figures.Scored(
            title,
            score.accuracy,
            score.evaluation.defect_probability(findings.record.labels),
        )
        for title, score in findings.scores
    ]


def _defective(findings: Findings) -> npt.NDArray[np.bool_]:
    return findings.test.defective(findings.record.labels)


def _examples(findings: Findings) -> list[Picture]:
    """Show pictures judged right: of every label the surest and one from the middle."""
    chosen: list[int] = []
    decisions = findings.tflite.decisions
    each = max(1, _MOST_EXAMPLES // len(findings.record.labels))
    for label in findings.record.labels[:_MOST_EXAMPLES]:
        right = [
            index
            for index, (decision, truth) in enumerate(
                zip(decisions, findings.test.labels, strict=True)
            )
            if truth == label.name == decision.label
        ]
        right.sort(key=lambda index: -decisions[index].probability)
        places = np.linspace(0, len(right) - 1, min(each, len(right))).round().astype(int)
        chosen += [right[place] for place in places]
    return [_picture(findings, index) for index in chosen]


def _errors(findings: Findings) -> list[Picture]:
    """Show the pictures that are wrong with the greatest certainty."""
    decisions = findings.tflite.decisions
    wrong = [
        index
        for index, (decision, truth) in enumerate(zip(decisions, findings.test.labels, strict=True))
        if decision.label != truth
    ]
    wrong.sort(key=lambda index: -decisions[index].probability)
    return [_picture(findings, index) for index in wrong[:_MOST_ERRORS]]


def _flipped(findings: Findings) -> list[int]:
    return [
        index
        for index, labels in enumerate(
            zip(*(score.labels for _, score in findings.scores), strict=True)
        )
        if len(set(labels)) > 1
    ]


def _flips(findings: Findings) -> list[Picture]:
    """Show pictures on which the artifacts do not all give one label, greatest change first."""
    before, after = (
        score.evaluation.defect_probability(findings.record.labels)
        for score in (findings.float32, findings.tflite)
    )
    flipped = sorted(_flipped(findings), key=lambda index: -abs(before[index] - after[index]))
    return [_picture(findings, index) for index in flipped[:_MOST_FLIPS]]


def _picture(findings: Findings, index: int) -> Picture:
    truth = findings.test.labels[index]
    decision = findings.tflite.decisions[index]
    lines = [
        f"{title}: {score.decisions[index].label} {score.decisions[index].probability:.3f}"
        for title, score in findings.scores
    ]
    lines.append(f"verdict: {Verdict(decision.verdict)}")
    lines.append(findings.test.rows[index].path)
    return Picture(
        uri=thumbnail(findings.test.pixels[index], findings.record.preprocess.colour),
        title=f"is {truth}",
        lines=tuple(lines),
        right=decision.label == truth,
    )
