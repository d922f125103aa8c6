"""The page of a data check: one HTML file with contact sheets, readable on a phone."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2

from linegate_bundle.errors import DataError
from linegate_bundle.images import read_image
from linegate_bundle.manifest import Colour
from linegate_bundle.preprocess import UInt8Array
from linegate_report.page import Picture, environment, thumbnail
from linegate_training.data.findings import (
    AlikePair,
    ClassFigures,
    DataReport,
    Kind,
    Outlier,
    Place,
)

_MOST_PAIRS = 12
_MOST_BURSTS = 6
_MOST_OF_A_BURST = 6
_MOST_OUTLIERS = 12
_MOST_CORRUPT = 100
_TITLES = {Kind.DARK: "Darkest", Kind.BRIGHT: "Brightest", Kind.BLURRED: "Most blurred"}


@dataclasses.dataclass(frozen=True)
class _Sheet:
    """A contact sheet: rows of pictures that belong together.

    Attributes:
        anchor: for links on the page.
        title: what is shown.
        shown: how many of ``of`` are shown.
        of: how many there are.
        note: what is said of the others.
        rows: pictures side by side.
    """

    anchor: str
    title: str
    shown: int
    of: int
    rows: tuple[tuple[Picture, ...], ...]
    note: str = "all are in the output of --json"


def render(report: DataReport) -> bytes:
    """Return the page as UTF-8 HTML; the images are read from where they were checked."""
    sheets = [
        *(
            _pairs(report, kind, title, pairs)
            for kind, title, pairs in (
                (Kind.CONFLICT, "Same picture, two labels", report.conflicts),
                (Kind.LEAK, "Same picture in two parts of the split", report.leaks),
                (Kind.NEAR_DUPLICATES, "Near duplicates", _spread(report.near_duplicates)),
            )
        ),
        _groups(report, Kind.IDENTICAL, "Identical files", report.identical),
        _groups(report, Kind.BURSTS, "Bursts: one part, one picture after the other",
                sorted(report.bursts, key=len, reverse=True)),
        *(_outliers(report, kind, title) for kind, title in _TITLES.items()),
    ]  # fmt: skip
    text = (
        environment("linegate_training")
        .get_template("data_check.html.j2")
        .render(
            report=report,
            classes=[_class(report, figures) for figures in report.classes if figures.images],
            sheets=[sheet for sheet in sheets if sheet.of],
            corrupt=report.corrupt[:_MOST_CORRUPT],
            most=max((figures.images for figures in report.classes), default=0),
        )
    )
    return text.encode()


def _class(report: DataReport, figures: ClassFigures) -> _Sheet:
    row = tuple(_picture(report, path, "", (path,)) for path in figures.examples)
    return _Sheet(
        "", figures.label, len(row), figures.images, (row,), "spread over all, by their names"
    )


def _pairs(report: DataReport, kind: Kind, title: str, pairs: Sequence[AlikePair]) -> _Sheet:
    shown = pairs[:_MOST_PAIRS]
    rows = tuple(
        (_place(report, pair.first), _place(report, pair.second, f"distance {pair.distance:.4f}"))
        for pair in shown
    )
    total = len(report.near_duplicates) if kind is Kind.NEAR_DUPLICATES else len(pairs)
    return _Sheet(kind, title, len(shown), total, rows)


def _spread(pairs: Sequence[AlikePair]) -> Sequence[AlikePair]:
    """Choose some pairs from the closest to the farthest, for the last ones tell the most."""
    if len(pairs) <= _MOST_PAIRS:
        return pairs
    step = (len(pairs) - 1) / (_MOST_PAIRS - 1)
    return [pairs[round(place * step)] for place in range(_MOST_PAIRS)]


def _groups(report: DataReport, kind: Kind, title: str, groups: Sequence[Sequence[str]]) -> _Sheet:
    shown = groups[:_MOST_BURSTS]
    rows = tuple(
        tuple(_picture(report, path, path, ()) for path in group[:_MOST_OF_A_BURST])
        for group in shown
    )
    return _Sheet(kind, title, len(shown), len(groups), rows)


def _outliers(report: DataReport, kind: Kind, title: str) -> _Sheet:
    outliers = [outlier for outlier in report.outliers if outlier.kind is kind]
    shown = outliers[:_MOST_OUTLIERS]
    row = tuple(_outlier(report, outlier) for outlier in shown)
    return _Sheet(kind, title, len(shown), len(outliers), (row,))


def _outlier(report: DataReport, outlier: Outlier) -> Picture:
    what = "sharpness" if outlier.kind is Kind.BLURRED else "brightness"
    lines = (f"{what} {outlier.value:.0f}, of its class {outlier.typical:.0f}", outlier.path)
    return _picture(report, outlier.path, outlier.label, lines)


def _place(report: DataReport, place: Place, *facts: str) -> Picture:
    title = f"{place.label}, {place.part}" if place.part else place.label
    return _picture(report, place.path, title, (place.path, *facts))


def _picture(report: DataReport, path: str, title: str, lines: tuple[str, ...]) -> Picture:
    try:
        uri = thumbnail(_rgb(Path(report.root) / path), Colour.RGB)
    except DataError:  # gone since the check: the page still tells what was found
        uri, lines = "", (*lines, "cannot be read any more")
    return Picture(uri=uri, title=title, lines=lines, right=True)


def _rgb(path: Path) -> UInt8Array:
    return cv2.cvtColor(read_image(path), cv2.COLOR_BGR2RGB).view("uint8")
