"""Dividing groups of images into train, validation, calibration and test."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.run_folder import Part

_PARTS = tuple(Part)
_TOLERANCE = 1e-6
"""Fractions in decimals do not add up exactly."""
_RESTARTS = 16
_RESTART_BUDGET = 20_000
"""Groups that all restarts together may place; keeps large folders quick."""

Counts = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Fractions:
    """Share of the images that each part gets; all above zero, one in sum.

    Raises:
        ConfigError: a share is zero or less, or the sum is not one.
    """

    train: float = 0.5
    validation: float = 0.1
    calibration: float = 0.15
    test: float = 0.25

    def __post_init__(self) -> None:
        """Check the shares."""
        shares = dataclasses.astuple(self)
        if not (min(shares) > 0 and abs(sum(shares) - 1) <= _TOLERANCE):  # also not a number
            raise ConfigError(
                "expected four fractions above 0 that sum to 1, for train, validation, "
                f"calibration and test, got {shares} (sum {sum(shares):g})"
            )


def split_groups(
    groups: Sequence[str],
    labels: Sequence[str],
    fractions: Fractions,
    seed: int,
    *,
    strata: Sequence[str] | None = None,
    parts: Sequence[Part] = _PARTS,
) -> dict[str, Part]:
    """Give every group a part so that each part has its share of every stratum.

    Greedy: after every part has every stratum once, large groups come first, each goes
    where it most reduces the chi-square distance between wanted and present counts;
    the best of several random orders is taken.

    Args:
        groups: group of each image.
        labels: label of each image, in the same order.
        fractions: share of each part, relative to the others that are asked for.
        seed: the same gives the same split.
        strata: from :func:`make_strata`; the labels if left out.
        parts: those to divide the groups among.

    Returns:
        The part of each group.

    Raises:
        DataError: a label has too few groups to be in every part.
    """
    names = sorted(set(groups))
    _check_group_counts(_count(names, groups, labels), sorted(set(labels)), parts)
    counts = _count(names, groups, strata or labels)
    shares = np.array([getattr(fractions, part) for part in parts])
    wanted = np.outer(shares / shares.sum(), counts.sum(axis=0))
    random = np.random.default_rng(seed)
    restarts = max(1, min(_RESTARTS, _RESTART_BUDGET // len(names)))
    candidates = [_assign(counts, wanted, random) for _ in range(restarts)]
    best = min(candidates, key=lambda chosen: _distance(chosen, counts, wanted))
    assigned = {name: parts[number] for name, number in zip(names, best, strict=True)}
    check_parts([assigned[group] for group in groups], labels, parts)
    return assigned


def make_strata(groups: Sequence[str], labels: Sequence[str], finer: Sequence[str]) -> list[str]:
    """Divide labels into finer strata where there are enough groups for every part.

    Strata of a label with fewer groups than there are parts become one; if that is still
    too small, it joins the label's largest.

    Args:
        groups: group of each image.
        labels: label of each image.
        finer: what to divide the label by, for each image.

    Returns:
        The stratum of each image; images of one stratum have one label.
    """
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for group, label, name in zip(groups, labels, finer, strict=True):
        found[label][name].add(group)
    names: dict[tuple[str, str], str] = {}
    for label, strata in found.items():
        small = [name for name, members in strata.items() if len(members) < len(_PARTS)]
        rest = set[str]().union(*(strata[name] for name in small))
        largest = max(sorted(strata), key=lambda name: len(strata[name]))
        target = f"{label}\t" if len(rest) >= len(_PARTS) else f"{label}\t{largest}"
        for name in strata:
            names[label, name] = target if name in small else f"{label}\t{name}"
    return [names[key] for key in zip(labels, finer, strict=True)]


def check_parts(
    parts: Sequence[Part], labels: Sequence[str], expected: Sequence[Part] = _PARTS
) -> None:
    """Raise :class:`DataError` unless every expected part has images of every label."""
    present = Counter(zip(parts, labels, strict=True))
    missing = [
        f"{part} has no {label!r}"
        for part in expected
        for label in sorted(set(labels))
        if not present[part, label]
    ]
    if missing:
        raise DataError(
            f"every part of the split needs images of every class, but {'; '.join(missing)}; "
            "use more images, smaller groups or other fractions"
        )


def part_counts(parts: Sequence[Part], labels: Sequence[str]) -> Mapping[Part, Mapping[str, int]]:
    """Count the images of each label in each part."""
    present = Counter(zip(parts, labels, strict=True))
    return {part: {label: present[part, label] for label in sorted(set(labels))} for part in _PARTS}


def _count(names: Sequence[str], groups: Sequence[str], labels: Sequence[str]) -> Counts:
    """Count images by group and label, shape ``(groups, labels)``."""
    rows = {name: row for row, name in enumerate(names)}
    columns = {name: column for column, name in enumerate(sorted(set(labels)))}
    counts = np.zeros((len(rows), len(columns)))
    for group, label in zip(groups, labels, strict=True):
        counts[rows[group], columns[label]] += 1
    return counts


def _check_group_counts(counts: Counts, labels: Sequence[str], parts: Sequence[Part]) -> None:
    few = [
        f"{label!r} is in {number}"
        for label, number in zip(labels, np.count_nonzero(counts, axis=0), strict=True)
        if number < len(parts)
    ]
    if few:
        raise DataError(
            f"every class must be in at least {len(parts)} groups, one for each of "
            f"{', '.join(parts)}, but {'; '.join(few)}; use more images or smaller groups"
        )


def _assign(counts: Counts, wanted: Counts, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give every group, a row of ``counts``, the number of a part."""
    parts = np.full(len(counts), -1)
    present = np.zeros_like(wanted)
    order = random.permutation(len(counts))

    def place(group: int, part: int) -> None:
        parts[group] = part
        present[part] += counts[group]

    # Rare labels first: the few groups that hold one must not be used up.
    for label in np.argsort(np.count_nonzero(counts, axis=0), kind="stable"):
        for part in np.argsort(wanted[:, label], kind="stable"):
            free = order[(parts[order] < 0) & (counts[order, label] > 0)]
            if not present[part, label] and len(free):
                cost = _cost(counts[free], present[part], wanted[part])
                place(free[np.argmin(cost)], part)
    by_size = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    for group in by_size:
        if parts[group] < 0:
            place(group, int(np.argmin(_cost(counts[group], present, wanted))))
    return parts


def _cost(groups: Counts, present: Counts, wanted: Counts) -> Counts:
    """Return how much the chi-square distance grows when a part takes a group.

    The last axis is that of the labels; the others broadcast: one group against all
    parts, or all groups against one part.
    """
    growth: Counts = (groups * (2 * (present - wanted) + groups) / wanted).sum(axis=-1)
    return growth


def _distance(parts: npt.NDArray[np.int64], counts: Counts, wanted: Counts) -> tuple[int, float]:
    """Rank a split: first by labels that a part lacks, then by chi-square distance."""
    present = np.stack([counts[parts == part].sum(axis=0) for part in range(len(wanted))])
    return int(np.count_nonzero(present == 0)), float(((present - wanted) ** 2 / wanted).sum())
