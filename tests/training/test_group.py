import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError, DataError
from linegate_training.data.group import (
    group_by_block,
    group_by_column,
    group_by_pattern,
    merge_identical,
)
from tests.training.pictures import photo

PATHS = [
    "defective/cell0001.png", "defective/cell0004.png", "functional/cell0002.png",
    "functional/cell0003.png", "functional/cell0005.png",
]  # fmt: skip


def test_blocks_follow_the_order_of_file_names_over_all_classes() -> None:
    groups = group_by_block([photo(path) for path in PATHS], 2)
    assert groups == ["block00000", "block00001", "block00000", "block00001", "block00002"]


@given(st.integers(1, 40), st.integers(1, 12))
def test_every_block_but_the_last_is_full(images: int, size: int) -> None:
    groups = group_by_block([photo(f"good/{number:03}.png") for number in range(images)], size)
    counts = [groups.count(group) for group in sorted(set(groups))]
    assert counts[:-1] == [size] * (len(counts) - 1)
    assert sum(counts) == images
    assert all(earlier <= later for earlier, later in pairwise(groups))


def test_pattern_names_the_group() -> None:
    photos = [photo("good/a12_1.png"), photo("good/a12_2.png"), photo("bad/a13_1.png")]
    assert group_by_pattern(photos, r"a(\d+)_") == ["12", "12", "13"]


def test_pattern_that_does_not_match_names_the_files() -> None:
    with pytest.raises(DataError, match=r"all file names but 1: good/other\.png"):
        group_by_pattern([photo("good/a1_.png"), photo("good/other.png")], r"a(\d+)_")


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "no regular expression"), ("a", "with a group")]
)
def test_unusable_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        group_by_pattern([photo("good/a.png")], pattern)


def test_each_image_is_a_group_but_identical_files_share_one() -> None:
    same = "0" * 64
    photos = [photo("good/a.png", same), photo("good/b.png"), photo("good/c.png", same)]
    groups = merge_identical(photos, group_by_column(photos))
    assert groups == ["good/a.png", "good/b.png", "good/a.png"]


@given(
    st.lists(
        st.tuples(st.sampled_from(string.ascii_letters), st.sampled_from("0123456789abcdef")),
        min_size=1,
    )
)
def test_identical_files_and_members_of_a_group_always_end_in_one_group(
    images: list[tuple[str, str]],
) -> None:
    photos = [photo(f"good/{n}.png", content * 64) for n, (_, content) in enumerate(images)]
    before = [group for group, _ in images]
    after = merge_identical(photos, before)
    assert set(after) <= set(before)
    for one in range(len(images)):
        for other in range(one):
            if before[one] == before[other] or images[one][1] == images[other][1]:
                assert after[one] == after[other]
