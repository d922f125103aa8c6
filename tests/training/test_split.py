import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.run_folder import Part
from linegate_training.data.split import Fractions, check_parts, part_counts, split_groups

DEFAULT = Fractions()


def cells() -> tuple[list[str], list[str]]:
    """Blocks of 40 images with very different shares of defects."""
    rng = np.random.default_rng(0)
    groups = [f"block{number // 40:03}" for number in range(2624)]
    shares = rng.beta(1, 2, size=66)
    labels = ["bad" if rng.random() < shares[n // 40] else "good" for n in range(2624)]
    return groups, labels


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=200),
    st.integers(0, 2**31 - 1),
)
def test_a_split_has_every_class_in_every_part_or_is_refused(
    images: list[tuple[int, str]], seed: int
) -> None:
    groups = [str(group) for group, _ in images]
    labels = [label for _, label in images]
    try:
        parts = split_groups(groups, labels, DEFAULT, seed)
    except DataError:
        return
    assert set(parts) == set(groups)
    present = Counter((parts[group], label) for group, label in zip(groups, labels, strict=True))
    assert all(present[part, label] for part in Part for label in set(labels))


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 60), st.integers(4, 60), st.integers(0, 100))
def test_classes_of_single_images_are_never_refused(good: int, bad: int, seed: int) -> None:
    groups = [str(number) for number in range(good + bad)]
    labels = ["good"] * good + ["bad"] * bad
    assert len(split_groups(groups, labels, DEFAULT, seed)) == good + bad


def test_shares_of_images_and_classes_are_close_to_what_was_asked() -> None:
    groups, labels = cells()
    parts = split_groups(groups, labels, DEFAULT, seed=3)
    counts = part_counts([parts[group] for group in groups], labels)
    for part, share in zip(Part, dataclasses.astuple(DEFAULT), strict=True):
        assert sum(counts[part].values()) / 2624 == pytest.approx(share, abs=0.02)
        for label in ("good", "bad"):
            whole = labels.count(label)
            assert counts[part][label] / whole == pytest.approx(share, abs=0.03)


def test_same_seed_gives_the_same_split_another_seed_another() -> None:
    groups, labels = cells()
    first = split_groups(groups, labels, DEFAULT, seed=1)
    assert split_groups(groups, labels, DEFAULT, seed=1) == first
    assert split_groups(groups, labels, DEFAULT, seed=2) != first


def test_class_with_too_few_groups_is_refused_with_the_count() -> None:
    with pytest.raises(DataError, match=r"at least 4 groups.*'bad' is in 3"):
        split_groups(list("abcdefg"), ["good"] * 4 + ["bad"] * 3, DEFAULT, seed=0)


def test_parts_without_a_class_are_named() -> None:
    with pytest.raises(DataError, match="test has no 'bad'"):
        check_parts([*Part, *list(Part)[:3]], ["good"] * 4 + ["bad"] * 3)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0, 0.0), (0.5, 0.2, 0.2, 0.2)])
def test_fractions_must_be_positive_and_sum_to_one(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="expected four fractions"):
        Fractions(*shares)
