"""The report's figures; each function gives a drawn figure, the same in, the same bytes out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import sklearn.metrics
from matplotlib.figure import Figure

from linegate_bundle.manifest import ArtifactAccuracy, DecisionPolicy
from linegate_export.evaluate import Score
from linegate_export.quantization.errors import OperatorError
from linegate_report.figure import (
    DEFECT_COLOUR,
    GOOD_COLOUR,
    STYLE,
    UNSURE_COLOUR,
    draw_reliability,
)
from linegate_report.reliability import reliability
from linegate_report.statistics import exact_interval

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_ARTIFACT_COLOURS = ("#333333", "#2b7bba", "#d95f0e", "#31a354", "#756bb1")
_BINS = 40
_ROC_POINTS = 200


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
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for scored, colour in zip(artifacts, _ARTIFACT_COLOURS, strict=False):
            false, true, _ = sklearn.metrics.roc_curve(defective, scored.defect_probability)
            keep = np.unique(np.linspace(0, len(false) - 1, _ROC_POINTS).round().astype(int))
            label = f"{scored.title}: AUC {scored.accuracy.auc:.3f}"
            axes.plot(false[keep], true[keep], color=colour, linewidth=1.3, label=label)
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, linestyle="--")
        axes.set(xlabel="good parts called defective", ylabel="defects found", aspect="equal")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
        return figure


def histogram(
    defect_probability: Float64Array, defective: BoolArray, policy: DecisionPolicy
) -> Figure:
    """Draw the defect probabilities of good and defective pictures with both thresholds."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        _draw_histogram(figure.subplots(), defect_probability, defective, policy)
        return figure


def reliability_diagram(scores: Sequence[tuple[str, Score]]) -> Figure:
    """Draw accuracy over confidence of some artifacts side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.8 * len(scores), 3.4), layout="constrained")
        panels = figure.subplots(1, len(scores), sharex=True, sharey=True, squeeze=False)[0]
        found = [
            reliability(score.evaluation.probabilities.max(axis=1), score.right)
            for _, score in scores
        ]
        bins = [one for each in found for one in each.bins]
        panels[0].set_xlim(min(one.confidence for one in bins) - 0.02, 1.02)
        panels[0].set_ylim(
            min(exact_interval(one.right, one.count).low for one in bins) - 0.02, 1.02
        )
        for axes, each, (title, _) in zip(panels, found, scores, strict=True):
            draw_reliability(axes, each, title)
        panels[0].set_ylabel("share that is right, 95 % interval")
        return figure


def operator_errors(operators: Sequence[OperatorError]) -> Figure:
    """Draw the error of int8 TFLite's operators in the order in which they run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.0), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(operators))
        axes.plot(
            places,
            [one.own_db for one in operators],
            ".",
            color="#999999",
            label="rounding of the result alone",
        )
        axes.plot(
            places,
            [one.total_db for one in operators],
            color=_ARTIFACT_COLOURS[1],
            linewidth=1.3,
            label="with all errors before it",
        )
        floats = [place for place, one in enumerate(operators) if one.float32]
        if floats:
            errors = [operators[place].total_db for place in floats]
            axes.plot(floats, errors, "o", color=UNSURE_COLOUR, label="in float")
        axes.set(xlabel="operator, in order", ylabel="signal to noise in dB")
        axes.legend(loc="upper right", frameon=False, fontsize=8)
        return figure


def key_figure(
    artifacts: Sequence[Scored],
    defective: BoolArray,
    policy: DecisionPolicy,
    shown: Scored,
) -> Figure:
    """Draw the export on one picture: accuracy with intervals, and what the thresholds do."""
    with mpl.rc_context({**STYLE, "font.size": 10}):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.9])
        for place, (scored, colour) in enumerate(zip(artifacts, _ARTIFACT_COLOURS, strict=False)):
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
    # The middle is emptiest. "best" searches, slowly, and matplotlib warns when it takes long.
    axes.legend(loc="upper center", frameon=False)
