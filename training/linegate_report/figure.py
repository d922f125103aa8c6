"""Figures in the house's style, and how they get into a page; the same in, the same bytes out."""

import base64
import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import sklearn.metrics
from matplotlib.figure import Figure

from linegate_report.reliability import Reliability
from linegate_report.statistics import exact_interval

GOOD_COLOUR = "#2b7bba"
DEFECT_COLOUR = "#d95f0e"
UNSURE_COLOUR = "#9a9a9a"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "linegate",
    "figure.dpi": 100,
}
"""Give it to ``matplotlib.rc_context`` around all drawing."""

_MOST_LABELS_WITH_NUMBERS = 12


def confusion(truth: Sequence[str], given: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw how often each true label got each label."""
    counts = sklearn.metrics.confusion_matrix(truth, given, labels=list(labels))
    with mpl.rc_context(STYLE):
        side = min(8.0, 2.2 + 0.6 * len(labels))
        figure = Figure(figsize=(side, side), layout="constrained")
        _draw_confusion(figure.subplots(), counts, labels)
        return figure


def draw_reliability(axes: Any, found: Reliability, title: str) -> None:
    """Draw accuracy over confidence with exact 95 % intervals."""
    intervals = [exact_interval(one.right, one.count) for one in found.bins]
    confidence = [one.confidence for one in found.bins]
    accuracy = [one.accuracy for one in found.bins]
    axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, linestyle="--")
    axes.vlines(confidence, [one.low for one in intervals], [one.high for one in intervals],
                color=GOOD_COLOUR, linewidth=1, alpha=0.6)  # fmt: skip
    axes.plot(confidence, accuracy, "o-", color=GOOD_COLOUR, markersize=4, linewidth=1)
    axes.set_title(f"{title}: error {100 * found.error:.1f} %", fontsize="medium")
    axes.set(xlabel="confidence in the label given")


def to_svg_uri(figure: Figure) -> str:
    """Return a figure as an SVG data URI."""
    return data_uri("image/svg+xml", _save(figure, "svg", {"Date": None}))


def to_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    return _save(figure, "png", {"Software": None}, dpi=160)


def data_uri(media_type: str, content: bytes) -> str:
    """Return content as a URI that holds it, so that the page needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _save(figure: Figure, format_: str, metadata: dict[str, None], dpi: int = 100) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Of letters that matplotlib's own font lacks; in a page the reader's font has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=format_, metadata=metadata, dpi=dpi)
    return buffer.getvalue()


def _draw_confusion(axes: Any, counts: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    if len(labels) <= _MOST_LABELS_WITH_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004 - mid grey
            axes.text(column + 0.5, row + 0.5, str(count), color=colour, ha="center", va="center")
    ticks = np.arange(len(labels)) + 0.5
    axes.set_xticks(ticks, labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel="label given", ylabel="true label", aspect="equal")
