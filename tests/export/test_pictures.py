"""Reading the run's photographs: each is the one that was split, or the export stops."""

from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Label, Role
from linegate_bundle.run_folder import Part, SplitRow
from linegate_export.pictures import (
    check_split,
    choose_held_out,
    choose_representative,
    load_pictures,
)
from tests.export import nets


def row(index: int, label: str, part: Part = Part.TRAIN) -> SplitRow:
    return SplitRow(
        path=f"{label}/{part}{index}.png",
        label=label,
        group=f"{label}{part}{index}",
        part=part,
        sha256=f"{index * 7919 % 10007:064x}",
    )


@pytest.fixture
def rows(tmp_path: Path) -> list[SplitRow]:
    return nets.write_pictures(tmp_path, nets.PLAIN_AND_BLOB, {Part.TEST: 4})


def test_pictures_come_preprocessed_in_the_order_of_the_split(
    rows: list[SplitRow], tmp_path: Path
) -> None:
    pictures = load_pictures(rows, tmp_path, nets.spec(), "test")
    assert pictures.pixels.shape == (4, nets.SIDE, nets.SIDE, 3)
    assert pictures.pixels.dtype == np.uint8
    assert pictures.labels == ("plain", "blob", "plain", "blob")
    assert pictures.defective(nets.PLAIN_AND_BLOB).tolist() == [False, True, False, True]


def test_a_missing_picture_is_named_and_the_way_out_too(
    rows: list[SplitRow], tmp_path: Path
) -> None:
    (tmp_path / rows[2].path).unlink()
    with pytest.raises(DataError, match=rf"{rows[2].path}: cannot be read: .* --data"):
        load_pictures(rows, tmp_path, nets.spec(), "test")


def test_an_altered_picture_is_named_even_if_it_decodes(
    rows: list[SplitRow], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / rows[1].path), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(DataError, match=rf"{rows[1].path}: is not the picture of the split"):
        load_pictures(rows, tmp_path, nets.spec(), "test")


def test_a_picture_that_was_split_but_does_not_decode_is_named(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = msgspec.structs.replace(
        row(0, "plain"), path="broken.png", sha256=hashlib.sha256(b"no picture").hexdigest()
    )
    with pytest.raises(DataError, match=r"broken\.png: expected an image"):
        load_pictures([broken], tmp_path, nets.spec(), "test")


def test_representative_pictures_keep_the_labels_proportions_and_do_not_depend_on_order() -> None:
    rows = [row(index, "plain") for index in range(300)]
    rows += [row(index, "blob") for index in range(96)]
    rows += [row(index, "rare") for index in range(4)]
    rows += [row(index, "blob", Part.TEST) for index in range(50)]
    chosen = choose_representative(rows, 100)
    assert Counter(row.label for row in chosen) == {"plain": 75, "blob": 24, "rare": 1}
    assert {row.part for row in chosen} == {Part.TRAIN}
    assert choose_representative(rows[::-1], 100) == chosen


def test_a_small_train_part_is_taken_whole() -> None:
    rows = [row(index, "plain") for index in range(3)] + [row(0, "blob")]
    assert len(choose_representative(rows, 200)) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0, "other")], r"split\.csv also has \['other'\]"),
        ([row(0, "plain", Part.TEST)], "expected a train part"),
        ([row(0, "plain"), row(1, "blob")], "part calibration .* got 0 good and 0 defective"),
        (
            [
                row(0, "plain"),
                *(row(1, name, Part.CALIBRATION) for name in ("plain", "blob")),
                row(2, "plain", Part.TEST),
            ],
            "part test .* got 1 good and 0 defective",
        ),
    ],
)
def test_a_split_that_cannot_be_measured_with_is_refused(
    rows: list[SplitRow], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_split(rows, nets.PLAIN_AND_BLOB)


def test_defects_of_one_label_stand_for_the_role_but_in_the_test_part() -> None:
    labels = (*nets.PLAIN_AND_BLOB, Label(name="bar", role=Role.DEFECT))
    rows = [row(0, "plain")]
    for part in (Part.CALIBRATION, Part.TEST):
        rows += [row(1, "plain", part), row(2, "bar", part)]
    with pytest.raises(DataError, match=r"in the part test of split\.csv, there are none of blob"):
        check_split(rows, labels)
    check_split([*rows, row(3, "blob", Part.TEST)], labels)


def test_held_out_pictures_are_the_validation_part_and_no_representative_ones() -> None:
    rows = [row(index, "plain") for index in range(30)]
    validation = [row(100 + index, "blob", Part.VALIDATION) for index in range(4)]
    representative = choose_representative(rows, 20)
    held_out = choose_held_out([*rows, *validation], representative, 10)
    assert len(held_out) == 10
    assert {one.path for one in validation} <= {one.path for one in held_out}
    assert not {one.path for one in held_out} & {one.path for one in representative}


def test_without_any_other_the_representative_pictures_are_held_out_too() -> None:
    rows = [row(index, "plain") for index in range(5)]
    representative = choose_representative(rows, 20)
    assert choose_held_out(rows, representative, 3) == representative[:3]
