import shutil
from collections import Counter
from pathlib import Path

import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.run_folder import Part
from linegate_training.data.scan import check_classes, check_conflicts, name_some, scan
from tests.training.pictures import write_photographs


def test_every_image_is_found_with_its_class_and_hash(photographs: Path) -> None:
    (photographs / "good" / "notes.txt").write_text("no image")
    (photographs / ".hidden").mkdir()
    dataset = scan(photographs)
    assert dataset.labels == ("good", "scratch")
    assert Counter(photo.label for photo in dataset.photos) == {"good": 60, "scratch": 30}
    assert [photo.path for photo in dataset.photos] == sorted(p.path for p in dataset.photos)
    assert dataset.file(dataset.photos[0]).is_file()
    assert dataset.photos[0].path == "good/part000_0.png"


def test_hash_over_the_data_depends_on_content_and_label_but_not_on_the_place(
    photographs: Path, tmp_path: Path
) -> None:
    before = scan(photographs).sha256()
    moved = tmp_path / "elsewhere"
    shutil.copytree(photographs, moved)
    assert scan(moved).sha256() == before
    (moved / "scratch" / "part020_0.png").rename(moved / "good" / "part020_0.png")
    assert scan(moved).sha256() != before


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder with one sub-folder a class"):
        scan(tmp_path / "nowhere")


def test_one_class_is_refused(tmp_path: Path) -> None:
    write_photographs(tmp_path, {"good": 3})
    with pytest.raises(DataError, match=r"at least two sub-folders.*got good"):
        scan(tmp_path)


def test_empty_class_is_refused_by_name(photographs: Path) -> None:
    (photographs / "dent").mkdir()
    with pytest.raises(DataError, match=r"found none in dent"):
        scan(photographs)


def test_classes_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"every class in one spelling, got .*[Ss]cratch"):
        check_classes(
            tmp_path, ["Scratch", "good", "scratch"], Counter(good=1, Scratch=1, scratch=1)
        )


def test_one_picture_in_two_classes_is_refused_by_name(photographs: Path) -> None:
    shutil.copy(photographs / "good" / "part000_0.png", photographs / "scratch" / "copy.png")
    with pytest.raises(DataError, match=r"good/part000_0.png = scratch/copy.png"):
        check_conflicts(scan(photographs).photos)


def test_long_lists_of_names_are_cut_and_counted() -> None:
    assert name_some("abc") == "a, b, c"
    assert name_some(map(str, range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_a_folder_of_train_and_test_comes_with_its_split(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write_photographs(tmp_path / part, {"good": 3, "scratch": 2}, seed=len(part))
    dataset = scan(tmp_path)
    assert dataset.labels == ("good", "scratch")
    assert Counter(photo.part for photo in dataset.photos) == {
        Part.TRAIN: 5,
        Part.VALIDATION: 5,
        Part.TEST: 5,
    }
    assert dataset.photos[0].path == "test/good/part000_0.png"


@pytest.mark.parametrize("folders", [("train", "good"), ("train", "val"), ("test", "train")])
def test_folders_that_are_no_whole_split_are_classes(
    folders: tuple[str, str], tmp_path: Path
) -> None:
    write_photographs(tmp_path, dict.fromkeys(folders, 2))
    assert scan(tmp_path).labels == tuple(sorted(folders))
    assert {photo.part for photo in scan(tmp_path).photos} == {None}
