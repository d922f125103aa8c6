import msgspec

from linegate_bundle.run_folder import Part
from linegate_training.report.leaks import NearDuplicates, check_split
from tests.training.evaluations import row

CLEAN = [
    row("good/1.png", "good", "a", Part.TRAIN),
    row("good/2.png", "good", "a", Part.TRAIN),
    row("bad/3.png", "bad", "b", Part.TEST),
]


def test_a_clean_split_is_counted_and_has_no_leak() -> None:
    found = check_split(CLEAN)
    assert found.counts[Part.TRAIN] == {"bad": 0, "good": 2}
    assert found.groups == {
        Part.TRAIN: 1,
        Part.VALIDATION: 0,
        Part.CALIBRATION: 0,
        Part.TEST: 1,
    }
    assert not found.leaks
    assert not found.single
    assert found.near_duplicates is None


def test_a_group_in_two_parts_is_a_leak() -> None:
    found = check_split([*CLEAN, row("good/4.png", "good", "a", Part.TEST)])
    assert found.groups_crossing == ("a",)
    assert found.leaks


def test_the_same_file_in_two_parts_is_a_leak() -> None:
    copy = msgspec.structs.replace(row("good/9.png", part=Part.TEST), sha256=CLEAN[0].sha256)
    found = check_split([*CLEAN, copy])
    assert found.identical_crossing == (("good/1.png", "good/9.png"),)
    assert found.identical_crossing_count == 1
    assert found.leaks


def test_the_same_file_twice_in_one_part_is_none() -> None:
    copy = msgspec.structs.replace(CLEAN[0], path="good/9.png")
    assert not check_split([*CLEAN, copy]).leaks


def test_look_alikes_are_a_leak_only_if_they_cross() -> None:
    pairs = (("good/1.png", "bad/3.png"),)
    assert check_split(CLEAN, NearDuplicates(1, pairs)).leaks
    assert not check_split(CLEAN, NearDuplicates(0, ())).leaks


def test_every_picture_a_group_of_its_own_is_told() -> None:
    assert check_split([row("good/1.png"), row("bad/2.png", "bad")]).single
