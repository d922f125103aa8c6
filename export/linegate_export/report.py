"""The report for people: one HTML file that needs no network and no other file."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import Verdict
from linegate_export import figures
from linegate_export.findings import FLOAT32, Findings
from linegate_report.figure import confusion, to_png, to_svg_uri
from linegate_report.page import Picture, environment, thumbnail

_MOST_EXAMPLES = 8
_MOST_ERRORS = 12
_MOST_FLIPS = 12


def render(findings: Findings, latency: Mapping[str, float] | None = None) -> bytes:
    """Return the report as UTF-8 HTML; the same in, the same out.

    Args:
        findings: what to tell.
        latency: milliseconds of one inference by artifact; None leaves them out.
    """
    labels = [label.name for label in findings.record.labels]
    text = (
        environment("linegate_export")
        .get_template("report.html.j2")
        .render(
            findings=findings,
            summary=findings.summary,
            record=findings.record,
            entries=[score.evaluation.artifact.entry for score in findings.scores.values()],
            table=findings.table,
            ratios=_ratios(latency),
            operators=to_svg_uri(figures.operator_errors(findings.summary.operators)),
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


def _ratios(latency: Mapping[str, float] | None) -> dict[str, float] | None:
    """Return what each artifact takes in times of float32, which is measured beside it."""
    if latency is None:
        return None
    return {name: milliseconds / latency[FLOAT32] for name, milliseconds in latency.items()}


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
        for title, score in findings.scores.items()
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
            zip(*(score.labels for score in findings.scores.values()), strict=True)
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
        for title, score in findings.scores.items()
    ]
    lines.append(f"verdict: {Verdict(decision.verdict)}")
    lines.append(findings.test.rows[index].path)
    return Picture(
        uri=thumbnail(findings.test.pixels[index], findings.record.preprocess.colour),
        title=f"is {truth}",
        lines=tuple(lines),
        right=decision.label == truth,
    )
