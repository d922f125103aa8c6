"""The report as one HTML file that needs no network and no other file."""

import dataclasses
from collections import Counter

import cv2
import numpy as np

from linegate_bundle.manifest import Colour
from linegate_bundle.preprocess import UInt8Array
from linegate_report.figure import confusion, data_uri, to_svg_uri
from linegate_report.heat import heat_overlay, input_picture, side_by_side, to_jpeg
from linegate_report.page import Picture, environment
from linegate_training.report import figures, words
from linegate_training.report.findings import Findings
from linegate_training.report.worst import WorstError

_MOST_CURVES = 8
_THUMBNAIL_SIDE = 224
_STRIP_SIDE = 112
_MOST_LABELS = 2
"""With more labels than that, each gets a curve against the rest."""


@dataclasses.dataclass(frozen=True)
class _Strip:
    """A few pictures in a row."""

    title: str
    uri: str


def render(findings: Findings) -> bytes:
    """Return the report as UTF-8 HTML; the same in, the same out."""
    test = findings.test
    curves = _curves(findings)
    text = (
        environment("linegate_training")
        .get_template("report.html.j2")
        .render(
            findings=findings,
            record=findings.record,
            scores=findings.scores,
            split=findings.split,
            words=words,
            curves=[curve.title for curve in curves],
            learning=_learning_uri(findings),
            confusion=to_svg_uri(confusion(test.truth, test.given, test.names)),
            roc=to_svg_uri(figures.roc(curves)),
            precision_recall=to_svg_uri(figures.precision_recall(curves)),
            histogram=to_svg_uri(figures.histogram(test.defect_probability, test.defective)),
            reliability=to_svg_uri(figures.reliability_diagram(findings.calibration)),
            worst=[_worst_picture(findings, error) for error in findings.worst],
            strips=_strips(findings),
        )
    )
    return text.encode()


def _learning_uri(findings: Findings) -> str | None:
    if not findings.history:
        return None
    return to_svg_uri(figures.learning_curves(findings.history, findings.monitor))


def _curves(findings: Findings) -> list[figures.Curve]:
    """Ask first what a gate asks, defect or good, then each label against the rest.

    A label that is the only one of its role would ask the first question again.
    """
    test = findings.test
    roles = Counter(label.role for label in test.labels)
    curves = [figures.Curve("defect or good", test.defect_probability, test.defective)]
    if len(test.names) > _MOST_LABELS:
        curves += [
            figures.Curve(name, test.probabilities[:, place], test.targets == place)
            for place, name in enumerate(test.names)
            if roles[test.labels[place].role] > 1
        ][:_MOST_CURVES]
    return curves


def _worst_picture(findings: Findings, error: WorstError) -> Picture:
    test, colour = findings.test, findings.record.preprocess.colour
    row, decision = test.rows[error.place], test.decisions[error.place]
    pair = [
        input_picture(error.pixels, colour),
        heat_overlay(error.pixels, colour, error.heat.values),
    ]
    joined = side_by_side([_small(picture, _THUMBNAIL_SIDE) for picture in pair])
    return Picture(
        uri=data_uri("image/jpeg", to_jpeg(joined)),
        title=f"is {row.label}, called {decision.label}",
        lines=(f"probability {decision.probability:.3f}", f"group {row.group}", row.path),
        right=False,
    )


def _strips(findings: Findings) -> list[_Strip]:
    colour = findings.record.preprocess.colour
    return [
        _Strip(title, data_uri("image/jpeg", to_jpeg(_strip(pictures, colour))))
        for title, pictures in findings.augmentations.items()
    ]


def _strip(pictures: UInt8Array, colour: Colour) -> UInt8Array:
    return side_by_side(
        [
            _small(input_picture(np.ascontiguousarray(picture), colour), _STRIP_SIDE)
            for picture in pictures
        ]
    )


def _small(picture: UInt8Array, side: int) -> UInt8Array:
    """Bring the longer side down to ``side``; smaller pictures grow by whole factors."""
    longest = max(picture.shape[:2])
    if longest <= side:
        factor = side // longest
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    factor = side / longest
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return small.view(np.uint8)
