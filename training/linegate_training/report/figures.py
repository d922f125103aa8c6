"""The report's figures; each function gives a drawn figure, the same in, the same bytes out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import sklearn.metrics
from matplotlib.figure import Figure

from linegate_bundle.decide import Float64Array
from linegate_report.figure import DEFECT_COLOUR, GOOD_COLOUR, STYLE, draw_reliability
from linegate_report.statistics import BoolArray, area_under_roc, exact_interval
from linegate_training.fitting.history import HistoryRow
from linegate_training.options import Monitor
from linegate_training.report.calibration import Calibration
from linegate_training.report.history import best_row, stages

_HISTOGRAM_BINS = 40
_MOST_POINTS = 200
_COLOURS = (
    "#333333", "#2b7bba", "#d95f0e", "#3a9a5b", "#8b5fb0", "#c2478a", "#8c6d31", "#4aa5a5",
    "#9a9a9a",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Curve:
    """A question with a yes or no, and how sure the model is of yes.

    Attributes:
        title: the question.
        score: higher for yes, shape ``(n,)``.
        truth: shape ``(n,)``, with at least one of each.
    """

    title: str
    score: Float64Array
    truth: BoolArray


def learning_curves(history: Sequence[HistoryRow], monitor: Monitor) -> Figure:
    """Draw loss and accuracy over the epochs, a line a stage, with the epoch that was kept."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, what in zip(panels, ("loss", "accuracy"), strict=True):
            start = history[0].epoch
            for number, rows in enumerate(stages(history)):
                _draw_stage(axes, rows, what, start, named=number == 0)
                start += len(rows)
            axes.set(xlabel="epoch, all stages in a row", ylabel=what)
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        best = history.index(best_row(history, monitor)) + history[0].epoch
        for axes in panels:
            axes.axvline(best, color="#9a9a9a", linewidth=0.8, linestyle=":", label="kept")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False
        )
        return figure


def roc(curves: Sequence[Curve]) -> Figure:
    """Draw the receiver operating characteristic of each curve."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.7 + 0.17 * len(curves)), layout="constrained")
        axes = figure.subplots()
        for curve, colour in zip(curves, _COLOURS, strict=False):
            false, true, _ = sklearn.metrics.roc_curve(curve.truth, curve.score)
            area = area_under_roc(curve.score, curve.truth)
            title = f"{curve.title}: AUC {area:.3f}"
            axes.plot(*_thin(false, true), color=colour, label=title, linewidth=1.3)
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, linestyle="--")
        axes.set(xlabel="share of the others called so", ylabel="share found", aspect="equal")
        _legend(figure)
        return figure


def precision_recall(curves: Sequence[Curve]) -> Figure:
    """Draw precision over recall of each curve, with the average precision."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.7 + 0.17 * len(curves)), layout="constrained")
        axes = figure.subplots()
        for curve, colour in zip(curves, _COLOURS, strict=False):
            precision, recall, _ = sklearn.metrics.precision_recall_curve(curve.truth, curve.score)
            average = sklearn.metrics.average_precision_score(curve.truth, curve.score)
            title = f"{curve.title}: AP {average:.3f}"
            axes.plot(*_thin(recall, precision), color=colour, label=title, linewidth=1.3)
        axes.axhline(curves[0].truth.mean(), color="#cccccc", linewidth=0.8, linestyle="--")
        axes.set(xlabel="recall: share found", ylabel="precision: share of the found that is true",
                 xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")  # fmt: skip
        _legend(figure)
        return figure


def histogram(defect_probability: Float64Array, defective: BoolArray) -> Figure:
    """Draw the defect probabilities of good and of defective pictures."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.hist(
            [defect_probability[~defective], defect_probability[defective]],
            bins=np.linspace(0, 1, _HISTOGRAM_BINS + 1).tolist(),
            color=[GOOD_COLOUR, DEFECT_COLOUR],
            label=["good", "defective"],
            stacked=True,
        )
        axes.set(xlim=(0, 1), xlabel="probability that the part is defective")
        axes.set_ylabel("test pictures")
        # The middle is emptiest. "best" searches, slowly, and matplotlib warns when it takes long.
        axes.legend(loc="upper center", frameon=False)
        return figure


def reliability_diagram(calibration: Calibration) -> Figure:
    """Draw accuracy over confidence before and after temperature scaling, with intervals."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        bins = calibration.before.bins + calibration.after.bins
        left.set_xlim(min(one.confidence for one in bins) - 0.02, 1.02)
        left.set_ylim(min(exact_interval(one.right, one.count).low for one in bins) - 0.02, 1.02)
        draw_reliability(left, calibration.before, "as it is")
        draw_reliability(right, calibration.after, f"temperature {calibration.temperature:.2f}")
        left.set_ylabel("share that is right, 95 % interval")
        return figure


def _draw_stage(
    axes: Any, rows: Sequence[HistoryRow], what: str, start: int, *, named: bool
) -> None:
    epochs = np.arange(start, start + len(rows))
    marker = "o" if len(rows) == 1 else ""
    for name, colour, style in (("train", GOOD_COLOUR, "-"), ("validation", DEFECT_COLOUR, "-")):
        key = what if name == "train" else f"validation_{what}"
        values = np.array([getattr(row, key) for row in rows], np.float64)  # None becomes NaN
        label = name if named else None
        axes.plot(epochs, values, style, color=colour, marker=marker, markersize=4, label=label)
    axes.annotate(rows[0].stage, (start, 1), (2, -2), xycoords=("data", "axes fraction"),
                  textcoords="offset points", va="top", fontsize=8, color="#5a6169")  # fmt: skip


def _thin(x: Float64Array, y: Float64Array) -> tuple[Float64Array, Float64Array]:
    keep = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(int))
    return x[keep], y[keep]


def _legend(figure: Figure) -> None:
    """Put a legend below the axes, where no curve runs through it."""
    legend = figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
