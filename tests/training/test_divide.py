import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.run_folder import Part, SplitRow, encode_split
from linegate_training.data.alike import Alike
from linegate_training.data.divide import divide
from linegate_training.data.duplicates import Pair
from linegate_training.data.leaks import find_leaks
from linegate_training.data.scan import Dataset, Photo
from linegate_training.data.split import make_strata, split_groups
from linegate_training.data.split_options import SplitOptions
from linegate_training.options import CorruptImages
from tests.training.pictures import photo


def photographs(good: int = 40, bad: int = 24) -> list[Photo]:
    paths = [f"good/{number:03}.png" for number in range(good)]
    return [photo(path) for path in paths + [f"bad/{number:03}.png" for number in range(bad)]]


def alike(
    photos: Sequence[Photo], duplicates: list[tuple[int, int]], bursts: list[tuple[int, int]]
) -> Alike:
    return Alike(
        tuple(photos),
        tuple(Pair(one, other, 0.001, 0) for one, other in duplicates),
        tuple(Pair(one, other, 0.1, 0) for one, other in bursts),
    )


def divided(
    photos: Sequence[Photo], found: Alike | None = None, **options: object
) -> dict[str, SplitRow]:
    given = SplitOptions(**options)  # type: ignore[arg-type]
    dataset = Dataset(Path("photographs"), Path("photographs"), tuple(photos))
    rows = divide(dataset, given, CorruptImages.REFUSE, found)
    assert [row.path for row in rows] == [photo.path for photo in photos]
    return {row.path: row for row in rows}


PAIRS = [(number, number + 1) for number in range(0, 30, 2)]
CHAIN = [(number, number + 1) for number in range(40, 46)]


def test_pictures_that_look_alike_stay_together_and_the_log_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    photos = photographs()
    apart = divided(photos)
    assert len({row.group for row in apart.values()}) == 64
    found = alike(photos, PAIRS, CHAIN)
    rows = divided(photos, found)
    for one, other in found.related():
        assert rows[one.path].group == rows[other.path].group
        assert rows[one.path].part is rows[other.path].part
    crossing = sum(
        apart[one.path].part is not apart[other.path].part for one, other in found.related()
    )
    assert crossing > 0
    assert (
        "37 images in 16 clusters look alike and stay together; without that, "
        f"{crossing} of their 21 pairs would have crossed"
    ) in caplog.text
    assert find_leaks(tuple(rows.values()), found) == []


def test_given_groups_are_kept_and_what_crosses_them_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    photos = photographs()
    groups = [dataclasses.replace(photo, group=f"g{n // 2}") for n, photo in enumerate(photos)]
    found = alike(groups, [(number, number + 4) for number in range(30)], [])
    rows = divided(groups, found)
    assert len({row.group for row in rows.values()}) == 32
    leaks = find_leaks(tuple(rows.values()), found)
    assert leaks
    assert f"{len(leaks)} pairs of near duplicates" in caplog.text
    assert f"{leaks[0][0].path} ({leaks[0][0].part}) = {leaks[0][1].path}" in caplog.text


def test_pictures_without_a_group_are_grouped_by_their_looks_though_others_have_one() -> None:
    photos = photographs()
    given = {0: "a", 1: "b", 4: "c"}
    some = [dataclasses.replace(photo, group=given.get(n)) for n, photo in enumerate(photos)]
    rows = divided(some, alike(some, [(0, 1), (4, 5), (6, 7)], [(40, 41)]))
    groups = [rows[photo.path].group for photo in some]
    # Both were said to be groups of their own; the others were not.
    assert groups[0] != groups[1]
    assert groups[4] == groups[5]
    assert groups[6] == groups[7]
    assert groups[40] == groups[41]


@pytest.mark.parametrize("pattern", ["(", "part", "["])
def test_a_pattern_that_is_none_is_refused_before_any_file_is_read(pattern: str) -> None:
    with pytest.raises(ConfigError, match="regular expression"):
        SplitOptions(group_pattern=pattern)


def test_too_large_clusters_say_how_to_go_on() -> None:
    photos = photographs()
    everything = alike(photos, [], [(n, n + 1) for n in range(40, 63)])
    with pytest.raises(DataError, match=r"'bad' is in 1.* has 24; --near-duplicates ignore"):
        divided(photos, everything)


def sided(photos: Sequence[Photo]) -> list[Photo]:
    """Every fourth photograph is in the test part, the others in train."""
    return [
        dataclasses.replace(photo, part=Part.TEST if n % 4 == 0 else Part.TRAIN)
        for n, photo in enumerate(photos)
    ]


def test_a_split_of_train_and_test_is_completed_from_train(
    caplog: pytest.LogCaptureFixture,
) -> None:
    photos = sided(photographs())
    found = alike(photos, [(1, 2), (4, 5)], [])
    rows = divided(photos, found)
    assert all(
        (photo.part is Part.TEST) == (rows[photo.path].part is Part.TEST) for photo in photos
    )
    counts = {part: sum(row.part is part for row in rows.values()) for part in Part}
    # Of 48 train images, as the fractions 0.5, 0.1 and 0.15 ask.
    assert counts == {Part.TRAIN: 32, Part.VALIDATION: 6, Part.CALIBRATION: 10, Part.TEST: 16}
    assert rows[photos[1].path].group == rows[photos[2].path].group
    assert rows[photos[4].path].group != rows[photos[5].path].group
    assert "1 pairs of near duplicates" in caplog.text


def test_a_whole_split_of_the_data_is_kept_as_it_is() -> None:
    parts = list(Part)
    photos = [
        dataclasses.replace(photo, part=parts[n % 4]) for n, photo in enumerate(photographs())
    ]
    rows = divided(photos)
    assert [rows[photo.path].part for photo in photos] == [photo.part for photo in photos]


def test_a_pattern_that_a_given_split_divides_is_refused() -> None:
    with pytest.raises(DataError, match=r"divides the group 'good0'|divides the group '0'"):
        divided(sided(photographs()), group_pattern=r"^(\d)")


def test_a_given_split_needs_train_and_test() -> None:
    photos = [dataclasses.replace(photo, part=Part.TRAIN) for photo in photographs()]
    with pytest.raises(DataError, match="with train and test at least, got train"):
        divided(photos)


def test_the_split_is_stratified_by_what_is_asked() -> None:
    photos = [
        dataclasses.replace(photo, stratum="mono" if n % 5 == 0 else "poly")
        for n, photo in enumerate(photographs(400, 200))
    ]
    rows = divided(photos)
    for label in ("good", "bad"):
        chosen = [photo for photo in photos if photo.label == label and photo.stratum == "mono"]
        for part, share in zip(Part, (0.5, 0.1, 0.15, 0.25), strict=True):
            there = sum(rows[photo.path].part is part for photo in chosen)
            assert there == pytest.approx(share * len(chosen), abs=1)


def test_small_strata_join_the_rest_of_their_label() -> None:
    finer = ["a"] * 6 + ["b"] * 2 + ["c"] * 2 + ["d"] * 5 + ["e"]
    labels = ["good"] * 10 + ["bad"] * 6
    groups = [str(number) for number in range(16)]
    strata = make_strata(groups, labels, finer)
    assert [strata[n] for n in (0, 6, 8, 10)] == ["good\ta", "good\t", "good\t", "bad\td"]
    assert strata[15] == "bad\td"
    assert len(split_groups(groups, labels, SplitOptions().fractions, 0, strata=strata)) == 16


def test_weights_and_soft_labels_come_from_the_data_or_else_from_the_split(tmp_path: Path) -> None:
    photos = photographs()
    said = [dataclasses.replace(p, weight=0.5, soft_label="bad=0.25;good=0.75") for p in photos]
    rows = divided(said)
    assert {(row.weight, row.soft_label) for row in rows.values()} == {(0.5, "bad=0.25;good=0.75")}
    path = tmp_path / "split.csv"
    path.write_bytes(encode_split(list(rows.values())))
    assert divided(photos, split=path) == rows
    others = [dataclasses.replace(photo, weight=2.0) for photo in photos]
    assert {(row.weight, row.soft_label) for row in divided(others, split=path).values()} == {
        (2.0, "bad=0.25;good=0.75")
    }
