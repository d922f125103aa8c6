"""The report's figures; each function gives a drawn figure, the same in, the same bytes out."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import sklearn.metrics
from matplotlib.figure import Figure

from linegate_bundle.manifest import ArtifactAccuracy, DecisionPolicy

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

GOOD_COLOUR = "#2b7bba"
DEFECT_COLOUR = "#d95f0e"
UNSURE_COLOUR = "#9a9a9a"
_ARTIFACT_COLOURS = ("#333333", "#2b7bba", "#d95f0e")
_BINS = 40
_MOST_LABELS_WITH_NUMBERS = 12
_ROC_POINTS = 200
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "linegate",
    "figure.dpi": 100,
}


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a figure needs of one artifact.

    Attributes:
        title: as it is called in the legend.
        accuracy: its figures.
        defect_probability: on the test part, shape ``(n,)``.
    """

    title: str
    accuracy: ArtifactAccuracy
    defect_probability: Float64Array


def roc(artifacts: Sequence[Scored], defective: BoolArray) -> Figure:
    """Draw the receiver operating characteristic of every artifact."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for scored, colour in zip(artifacts, _ARTIFACT_COLOURS, strict=True):
            false, true, _ = sklearn.metrics.roc_curve(defective, scored.defect_probability)
            keep = np.unique(np.linspace(0, len(false) - 1, _ROC_POINTS).round().astype(int))
            label = f"{scored.title}: AUC {scored.accuracy.auc:.3f}"
            axes.plot(false[keep], true[keep], color=colour, linewidth=1.3, label=label)
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, linestyle="--")
        axes.set(xlabel="good parts called defective", ylabel="defects found", aspect="equal")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
        return figure


def confusion(truth: Sequence[str], given: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw how often each true label got each label."""
    counts = sklearn.metrics.confusion_matrix(truth, given, labels=list(labels))
    with mpl.rc_context(_STYLE):
        side = min(8.0, 2.2 + 0.6 * len(labels))
        figure = Figure(figsize=(side, side), layout="constrained")
        _draw_confusion(figure.subplots(), counts, labels)
        return figure


def histogram(
    defect_probability: Float64Array, defective: BoolArray, policy: DecisionPolicy
) -> Figure:
    """Draw the defect probabilities of good and defective pictures with both thresholds."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        _draw_histogram(figure.subplots(), defect_probability, defective, policy)
        return figure


def key_figure(
    artifacts: Sequence[Scored],
    defective: BoolArray,
    policy: DecisionPolicy,
    shown: Scored,
) -> Figure:
    """Draw the export on one picture: accuracy with intervals, and what the thresholds do."""
    with mpl.rc_context({**_STYLE, "font.size": 10}):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.9])
        for place, (scored, colour) in enumerate(zip(artifacts, _ARTIFACT_COLOURS, strict=True)):
            interval = scored.accuracy.accuracy_95
            left.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2)
            left.plot([scored.accuracy.accuracy], [place], "o", color=colour)
            text = f"{100 * scored.accuracy.accuracy:.1f} %"
            left.annotate(text, (scored.accuracy.accuracy, place), (0, 7), ha="center",
                          textcoords="offset points")  # fmt: skip
        left.set_yticks(range(len(artifacts)), [scored.title for scored in artifacts])
        left.set(ylim=(len(artifacts) - 0.4, -0.6), xlabel="test accuracy, 95 % interval")
        left.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
        _draw_histogram(right, shown.defect_probability, defective, policy)
        return figure


def to_svg_uri(figure: Figure) -> str:
    """Return a figure as an SVG data URI."""
    return data_uri("image/svg+xml", _save(figure, "svg", {"Date": None}))


def to_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    return _save(figure, "png", {"Software": None}, dpi=160)


def data_uri(media_type: str, content: bytes) -> str:
    """Return content as a URI that holds it, so that the report needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _save(figure: Figure, format_: str, metadata: dict[str, None], dpi: int = 100) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format=format_, metadata=metadata, dpi=dpi)
    return buffer.getvalue()


def _draw_histogram(
    axes: Any, defect_probability: Float64Array, defective: BoolArray, policy: DecisionPolicy
) -> None:
    accept, reject = policy.accept_at_most, policy.reject_at_least
    axes.axvspan(0, accept, color=GOOD_COLOUR, alpha=0.10, linewidth=0)
    axes.axvspan(accept, reject, color=UNSURE_COLOUR, alpha=0.18, linewidth=0)
    axes.axvspan(reject, 1, color=DEFECT_COLOUR, alpha=0.10, linewidth=0)
    axes.hist(
        [defect_probability[~defective], defect_probability[defective]],
        bins=np.linspace(0, 1, _BINS + 1).tolist(),
        color=[GOOD_COLOUR, DEFECT_COLOUR],
        label=["good", "defective"],
        stacked=True,
    )
    for threshold in (accept, reject):
        axes.axvline(threshold, color="#333333", linewidth=0.8)
    title = f"accept up to {accept:.3f}, reject from {reject:.3f}, unsure between"
    axes.set_title(title, fontsize="medium")
    axes.set(xlim=(0, 1), xlabel="probability that the part is defective", ylabel="test pictures")
    axes.legend(frameon=False)


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
