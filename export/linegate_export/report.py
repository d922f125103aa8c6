"""The report for people: one HTML file that needs no network and no other file."""

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Float64Array
from linegate_bundle.manifest import Activation, Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_export import figures
from linegate_export.findings import FLOAT32, INT8_TFLITE, Findings
from linegate_report.figure import confusion, data_uri, to_png, to_svg_uri
from linegate_report.heat import heat_overlay, input_picture, side_by_side, to_jpeg
from linegate_report.page import Picture, environment, thumbnail

_MOST_EXAMPLES = 8
_MOST_ERRORS = 12
MOST_FLIPS = 12
_THUMBNAIL_SIDE = 160

Maps = Mapping[int, tuple[Float64Array, Float64Array]]
"""Class maps of float and of int8 TFLite by the place of the test picture."""


def render(
    findings: Findings, latency: Mapping[str, float] | None = None, maps: Maps | None = None
) -> bytes:
    """Return the report as UTF-8 HTML; the same in, the same out.

    Args:
        findings: what to tell.
        latency: milliseconds of one inference by artifact; None leaves them out.
        maps: class maps of pictures that flip; None leaves them out.
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
            reliability=to_svg_uri(
                figures.reliability_diagram(
                    [(FLOAT32, findings.float32), (INT8_TFLITE, findings.tflite)]
                )
            ),
            confusion=to_svg_uri(confusion(findings.test.labels, findings.tflite.labels, labels)),
            examples=_examples(findings),
            errors=_errors(findings),
            flips=_flips(findings, maps or {}),
            flip_count=len(findings.flips),
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


def _flips(findings: Findings, maps: Maps) -> list[Picture]:
    """Show pictures on which the artifacts do not all give one label, each with its maps."""
    return [
        dataclasses.replace(_picture(findings, index), uri=_pair(findings, index, maps))
        for index in findings.flips[:MOST_FLIPS]
    ]


def _pair(findings: Findings, index: int, maps: Maps) -> str:
    """Draw a picture, and beside it what speaks for int8's label in float and in int8."""
    pixels, colour = findings.test.pixels[index], findings.record.preprocess.colour
    pictures = [input_picture(pixels, colour)]
    if index in maps:
        names = [label.name for label in findings.record.labels]
        place = names.index(findings.tflite.decisions[index].label)
        one_logit = findings.record.activation is Activation.SIGMOID
        for values in maps[index]:
            # One logit speaks for the second label, and so against the first.
            own = (2 * place - 1) * values[..., 0] if one_logit else values[..., place]
            pictures.append(heat_overlay(pixels, colour, own.astype(np.float32)))
    small = [_small(picture) for picture in pictures]
    return data_uri("image/jpeg", to_jpeg(side_by_side(small)))


def _small(picture: UInt8Array) -> UInt8Array:
    factor = _THUMBNAIL_SIDE / max(picture.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method).view(np.uint8)


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
