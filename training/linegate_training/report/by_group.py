"""Whether errors come in groups: some parts, sessions or cameras worse than others."""

import dataclasses
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from linegate_training.report.evaluation import Evaluation

_SHUFFLES = 2000
_MOST_GROUPS = 10


@dataclasses.dataclass(frozen=True)
class GroupScore:
    """The errors of one group.

    Attributes:
        name: of the group.
        pictures: how many it has.
        errors: how many of them are given a wrong label.
        labels: pictures by true label.
    """

    name: str
    pictures: int
    errors: int
    labels: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Clustering:
    """A test whether errors come together in groups.

    Attributes:
        pairs: pairs of errors that share a group.
        pairs_by_chance: how many there are on average when errors are shuffled among
            the pictures of the same true label.
        p_value: share of the shuffles with at least as many pairs; the observed order
            counts as one of them.
    """

    pairs: int
    pairs_by_chance: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class ByGroup:
    """Errors by group.

    Attributes:
        groups: how many there are.
        largest: pictures of the largest.
        without_errors: groups in which every label is right.
        worst: those with most errors, the largest share first among equals.
        clustering: None where it cannot be tested: no group has two pictures, or
            there are fewer than two errors.
    """

    groups: int
    largest: int
    without_errors: int
    worst: tuple[GroupScore, ...]
    clustering: Clustering | None


def score_groups(evaluation: Evaluation) -> ByGroup:
    """Count errors by group and test whether they come together."""
    errors = ~evaluation.right
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: Counter[str] = Counter()
    for row, error in zip(evaluation.rows, errors, strict=True):
        labels[row.group][row.label] += 1
        wrong[row.group] += bool(error)
    scores = [
        GroupScore(name, counts.total(), wrong[name], dict(sorted(counts.items())))
        for name, counts in sorted(labels.items())
    ]
    ordered = sorted(scores, key=lambda one: (-one.errors, one.pictures, one.name))
    largest = max(one.pictures for one in scores)
    testable = largest > 1 and errors.sum() > 1
    return ByGroup(
        groups=len(scores),
        largest=largest,
        without_errors=sum(one.errors == 0 for one in scores),
        worst=tuple(one for one in ordered[:_MOST_GROUPS] if one.errors),
        clustering=_test_clustering(evaluation) if testable else None,
    )


def _test_clustering(evaluation: Evaluation) -> Clustering:
    """Shuffle errors within each true label, so that a hard label alone is no cluster."""
    _, group = np.unique(evaluation.groups, return_inverse=True)
    errors, targets = ~evaluation.right, evaluation.targets
    strata = [np.flatnonzero(targets == target) for target in np.unique(targets)]
    random = np.random.default_rng(0)
    observed = _pairs(group[errors])
    counts = np.empty(_SHUFFLES)
    for number in range(_SHUFFLES):
        drawn = [
            group[random.choice(stratum, int(errors[stratum].sum()), replace=False)]
            for stratum in strata
        ]
        counts[number] = _pairs(np.concatenate(drawn))
    return Clustering(
        pairs=observed,
        pairs_by_chance=float(counts.mean()),
        p_value=float((1 + np.count_nonzero(counts >= observed)) / (1 + _SHUFFLES)),
    )


def _pairs(groups: npt.NDArray[np.int64]) -> int:
    counts = np.bincount(groups)
    return int((counts * (counts - 1) // 2).sum())
