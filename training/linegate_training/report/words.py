"""Findings in plain sentences: what goes wrong, what to do next, what was not shown."""

import itertools
from collections import Counter

from linegate_bundle.manifest import Role
from linegate_report.statistics import exact_interval
from linegate_training.report.findings import Findings
from linegate_training.report.history import ended_while_improving, learned_nothing, overfit
from linegate_training.report.scores import Proportion

_SURE = 0.9
_OVERFIT = 0.05
_WIDE = 0.05
"""Half an interval's width above which more test pictures are asked for, in shares."""
_FEW_PICTURES = 30
_GOOD_RANKING = 0.9
_SIGNIFICANT = 0.05
_MOST_CONFUSIONS = 3
_BY_CHANCE = 1.5
"""Calibration errors up to so many times that of chance are not spoken of."""
_Z = 1.96
_PLACES = frozenset({"cache", "data", "existing_run", "out", "split", "tensorboard"})


def share(proportion: Proportion) -> str:
    """Write a share with its counts and interval."""
    if proportion.value is None:
        return "no such picture"
    low, high = proportion.interval.low, proportion.interval.high
    return (
        f"{100 * proportion.value:.1f} % ({proportion.successes} of {proportion.trials}; "
        f"95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )


def settings(findings: Findings) -> dict[str, object]:
    """Return the options of the training, without those that only say where files lie."""
    return {
        name: value
        for name, value in sorted(findings.record.configuration.items())
        if name not in _PLACES and value is not None
    }


def most_common(findings: Findings) -> tuple[str, int]:
    """Return the most common label of the test part, and how many pictures have it."""
    return Counter(findings.test.truth).most_common(1)[0]


def confusions(findings: Findings) -> list[str]:
    """Say which labels are most often taken for which."""
    test = findings.test
    every = zip(test.truth, test.given, strict=True)
    pairs = Counter((truth, given) for truth, given in every if truth != given)
    totals = Counter(test.truth)
    return [
        f"{count} of {totals[truth]} {truth} are called {given}"
        for (truth, given), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    ][:_MOST_CONFUSIONS]


def calibration_sentence(findings: Findings) -> str:
    """Say whether the probabilities can be believed."""
    found = findings.calibration.before
    gap = found.mean_confidence - found.accuracy
    sentence = (
        f"On average it is {100 * found.mean_confidence:.1f} % sure of its label and right in "
        f"{100 * found.accuracy:.1f} %"
    )
    if found.error <= _BY_CHANCE * found.error_by_chance:
        return sentence + ": the probabilities mean what they say, as far as so few pictures show."
    if abs(gap) < found.error / 2:
        return sentence + ", but not where it is surer: its probabilities say little."
    direction = "too sure of itself" if gap > 0 else "not sure enough"
    return sentence + f": it is {direction}."


def clustering_sentence(findings: Findings) -> str:
    """Say whether errors come in groups."""
    found = findings.by_group
    if found.largest == 1:
        return "Every test picture is a group of its own, so nothing can be said about groups."
    if found.clustering is None:
        return "There are too few errors to say whether they come in groups."
    one = found.clustering
    numbers = (
        f"{one.pairs} pairs of errors share a group, {one.pairs_by_chance:.1f} would by chance "
        f"(p = {one.p_value:.3g})"
    )
    if one.p_value < _SIGNIFICANT:
        return f"Errors come in groups: {numbers}. Some groups are harder than others."
    return f"Errors are spread over the groups about as chance would: {numbers}."


def next_steps(findings: Findings) -> list[str]:
    """Say what an engineer may do next, the most pressing first; each follows from a figure."""
    steps = [
        *_split_steps(findings),
        *_learning_steps(findings),
        *_error_steps(findings),
        *_training_steps(findings),
        *_data_steps(findings),
    ]
    export = (
        "Export it (linegate export): that sets the thresholds for accept and reject and measures "
        "the int8 model."
    )
    return [*steps, export]


def limits(findings: Findings) -> list[str]:
    """Say what the test part does not show."""
    scores, split = findings.scores, findings.split
    defects, goods = scores.found.trials, scores.passed.trials
    where = "from the same folder as the training pictures"
    said = [
        f"The test part has {defects} defective and {goods} good pictures, {where}.",
        "Other products, cameras and lights were not measured.",
        f"The share of defects found is {share(scores.found)}.",
        "Thresholds, int8 and the device are not in these figures; the export measures them.",
    ]
    if split.single:
        said.append(
            "Every picture is a group of its own. If several pictures show one part or were taken "
            "in one session, the figures flatter."
        )
    if split.near_duplicates is None:
        said.append("Pictures that look alike though their files differ were not looked for.")
    if split.leaks:
        said.append("Some pictures are in more than one part of the split: the figures flatter.")
    few = [one for one in scores.classes if one.recall.trials < _FEW_PICTURES]
    said += [f"{one.label.name}: only {one.recall.trials} test pictures." for one in few]
    if not findings.calibration.determined:
        said.append("The validation part has too few errors to tell a temperature.")
    return said


def _split_steps(findings: Findings) -> list[str]:
    split = findings.split
    if split.leaks:
        step = (
            "Make a new split: some pictures are in more than one part, see the leak check, so "
            "all figures here flatter."
        )
        return [step]
    if split.single:
        step = (
            "If several pictures show the same part or come from one session, say so with "
            "--group-pattern or --group-block and train again: now every picture is a group of "
            "its own."
        )
        return [step]
    return []


def _learning_steps(findings: Findings) -> list[str]:
    """Say whether anything was learned at all."""
    if learned_nothing(findings.history, findings.monitor):
        step = (
            "It has learned nothing: no epoch was better on validation than the random weights at "
            "the start, so these were kept. Try another --learning-rate, more --epochs or "
            "pretrained --weights."
        )
        return [step]
    steps = []
    label, count = most_common(findings)
    accuracy = findings.scores.accuracy
    if accuracy.interval.low <= count / accuracy.trials:
        area = findings.scores.area.value
        ranks = (
            f" (it ranks defects above good parts, though, with an area of {area:.3f}, and "
            "thresholds need no more than that)"
            if area >= _GOOD_RANKING
            else ""
        )
        steps.append(
            f"It is not shown to be better than always answering {label}{ranks}: look at the "
            "curves, try another --network, its pretrained --weights, another --learning-rate or "
            "more --epochs."
        )
    never = [one.label.name for one in findings.scores.classes if not one.precision.trials]
    if never:
        steps.append(
            f"{', '.join(never)}: given to no test picture. Collect more of them, or let them "
            "count more with --balance."
        )
    return steps


def _error_steps(findings: Findings) -> list[str]:
    steps = []
    sure = sum(
        not right and decision.probability >= _SURE
        for right, decision in zip(findings.test.right, findings.test.decisions, strict=True)
    )
    if sure:
        steps.append(
            f"Look at the worst errors below and check their labels: {sure} test "
            f"{'picture is' if sure == 1 else 'pictures are'} wrong with a probability of "
            f"{_SURE:.1f} or more."
        )
    clustering = findings.by_group.clustering
    if clustering is not None and clustering.p_value < _SIGNIFICANT:
        worst = findings.by_group.worst[0]
        steps.append(
            f"Look at what the hardest groups have in common, first {worst.name} "
            f"({worst.errors} of {worst.pictures} wrong)."
        )
    return steps


def _training_steps(findings: Findings) -> list[str]:
    if not findings.history:
        return []
    steps = []
    planned = int(findings.record.configuration.get("epochs") or 0)
    if ended_while_improving(findings.history, findings.monitor, planned):
        steps.append(
            f"Train longer: the last of {planned} epochs was the best on validation "
            f"(--epochs {2 * planned})."
        )
    ahead = overfit(findings.history, findings.monitor)
    if ahead > _OVERFIT:
        steps.append(
            f"Collect more pictures or augment more: the model is {100 * ahead:.0f} points more "
            "accurate on what it trained on than on validation."
        )
    return steps


def _data_steps(findings: Findings) -> list[str]:
    steps = []
    for name, role, proportion in (
        ("defective", Role.DEFECT, findings.scores.found),
        ("good", Role.GOOD, findings.scores.passed),
    ):
        half = (proportion.interval.high - proportion.interval.low) / 2
        if half <= _WIDE or proportion.value is None:
            continue
        done = "found" if role is Role.DEFECT else "passed"
        needed = _needed(proportion.value, proportion.trials)
        steps.append(
            f"Collect more {name} pictures for the test part: the share {done} is only known to "
            f"{100 * half:.0f} points either way; about {needed} instead of {proportion.trials} "
            f"bring that to {100 * _WIDE:.0f} points."
        )
    return steps


def _needed(value: float, trials: int) -> int:
    """Return of how many pictures with the same share the exact interval is narrow enough."""
    # The normal approximation asks for fewer.
    start = int(_Z**2 * value * (1 - value) / _WIDE**2)
    counts = itertools.count(max(trials, start))
    intervals = ((count, exact_interval(round(value * count), count)) for count in counts)
    return next(count for count, one in intervals if one.high - one.low <= 2 * _WIDE)
