import csv
import io
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import DataError
from linegate_bundle.run_folder import Part
from linegate_training.data.scan import Photo, scan
from linegate_training.data.source import load_dataset
from linegate_training.data.table import read_table
from tests.training.pictures import write_photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four good pictures and three scratched ones."""
    return write_photographs(tmp_path, {"good": 4, "scratch": 3})


GOOD, SCRATCH = "good/part000_0.png", "scratch/part001_1.png"


def write(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "images.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def by_path(table: Path) -> dict[str, Photo]:
    return {photo.path: photo for photo in read_table(table).photos}


def test_path_and_label_are_enough(folder: Path) -> None:
    table = write(folder, "label,path", f"ok,{GOOD}", f"bad,{SCRATCH}")
    dataset = load_dataset(table)
    assert dataset.root == folder
    assert dataset.labels == ("bad", "ok")
    hashes = {photo.path: photo.sha256 for photo in scan(folder).photos}
    assert dataset.photos[0] == Photo(GOOD, "ok", hashes[GOOD])


def test_every_column_arrives(folder: Path) -> None:
    table = write(
        folder,
        "path,label,group,split,weight,soft_label,stratum",
        f"{GOOD},good,g1,train,0.5,0.75,mono",
        f"{SCRATCH},scratch,,Val,,good=0.25;scratch=0.75,",
    )
    photos = by_path(table)
    one, other = photos[GOOD], photos[SCRATCH]
    assert (one.group, one.part, one.weight, one.stratum) == ("g1", Part.TRAIN, 0.5, "mono")
    assert one.soft_label == "good=0.75;scratch=0.25"
    assert (other.group, other.part, other.weight) == (None, Part.VALIDATION, None)
    assert other.soft_label == "good=0.25;scratch=0.75"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_what_spreadsheets_write_is_read(folder: Path, encoding: str, separator: str) -> None:
    (folder / "good" / "a;b, \u00fc.png").write_bytes((folder / GOOD).read_bytes())
    lines = [
        ("Path", "Label"),
        ('"good\\a;b, \u00fc.png"', '"in ""Ordnung"""'),
        ("", ""),
        (SCRATCH, " kaputt "),
    ]
    table = write(folder, *(separator.join(line) for line in lines), encoding=encoding)
    assert {photo.path: photo.label for photo in read_table(table).photos} == {
        "good/a;b, \u00fc.png": 'in "Ordnung"',
        SCRATCH: "kaputt",
    }


def test_images_may_lie_elsewhere(folder: Path) -> None:
    (folder / "lists").mkdir()
    table = folder / "lists" / "images.csv"
    absolute = (folder / SCRATCH).as_posix()
    table.write_text(f"path,label\n../{GOOD},ok\n{absolute},bad\n")
    dataset = read_table(table)
    assert {photo.path for photo in dataset.photos} == {f"../{GOOD}", absolute}
    assert all(dataset.file(photo).samefile(folder / name) for photo, name in
               zip(dataset.photos, (GOOD, SCRATCH), strict=True))  # fmt: skip


NAMES = st.text(string.ascii_letters + string.digits + " ;,\"'=_-\u00e9", min_size=1).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(NAMES.filter(bool), min_size=2, max_size=2, unique_by=str.casefold),
       NAMES, st.sampled_from(",;"))  # fmt: skip
def test_quoted_cells_come_back_as_they_were(
    folder: Path, labels: list[str], group: str, separator: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["path", "label", "group"])
    writer.writerow([GOOD, labels[0], group])
    writer.writerow([SCRATCH, labels[1], ""])
    (folder / "images.csv").write_text(text.getvalue(), newline="")
    photos = by_path(folder / "images.csv")
    assert (photos[GOOD].label, photos[SCRATCH].label) == tuple(labels)
    assert photos[GOOD].group == (group or None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "row 1: expected path and label.*got an empty file"),
        (["path,klasse", f"{GOOD},ok"], "row 1: expected columns among path, label, .*'klasse'"),
        (["path,group", f"{GOOD},ok"], "row 1: expected path and label"),
        (["path,label,label", f"{GOOD},ok,ok"], "each column once"),
        (["path,label", f"{GOOD},ok,1"], "row 2: expected 2 cells as in the header, got 3"),
        (["path,label", f"{GOOD},ok", "", "gone.png,bad"], r"row 4: gone\.png is missing"),
        (["path,label", f"{GOOD},"], "row 2: expected a path and a label"),
        (
            ["path,label", f"{GOOD},ok", f"good/../{GOOD},bad"],
            r"row 3: good/part000_0\.png is in row 2 already",
        ),
        (
            ["path,label,split", f"{GOOD},ok,train", f"{SCRATCH},bad,exam"],
            "row 3: expected the split train, validation, calibration, test, got 'exam'",
        ),
        (
            ["path,label,split", f"{GOOD},ok,train", f"{SCRATCH},bad,"],
            "row 3: expected a split, for other rows have one",
        ),
        (
            ["path,label,split,group", f"{GOOD},ok,train,a", f"{SCRATCH},bad,test,a"],
            "row 3: the group 'a' is in test, but in row 2 in train",
        ),
        (["path,label,weight", f"{GOOD},ok,-1"], "row 2: expected a weight from 0 to 1000000"),
        (["path,label,weight", f"{GOOD},ok,nan"], "row 2: expected a weight from 0 to 1000000"),
        (["path,label,weight", f"{GOOD},ok,much"], "row 2: expected a number as weight"),
        (
            ["path,label,soft_label", f"{GOOD},ok,2", f"{SCRATCH},bad,0.5"],
            "row 2: expected shares from 0 to 1",
        ),
        (
            ["path,label", f"{GOOD},Bad", f"{SCRATCH},bad"],
            "one spelling, got 'Bad' \\(1 images\\) and 'bad'",
        ),
        (["path,label", f"{GOOD},ok"], "two labels in a CSV file, got ok"),
        (
            ["path,label", f"{SCRATCH},bad", f'"{GOOD},ok', f"{SCRATCH},bad"],
            "row 3: expected a cell whose quotes end, .* correct the row",
        ),
    ],
)
def test_wrong_tables_are_refused_by_row(folder: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read_table(write(folder, *lines))
    assert "images.csv" in str(refused.value)


def test_many_errors_are_counted(folder: Path) -> None:
    lines = [f"gone{number}.png,ok" for number in range(25)]
    with pytest.raises(DataError, match=r"row 2: gone0.*row 11: gone9\.png is missing and 15 more"):
        read_table(write(folder, "path,label", *lines))


def test_other_encodings_and_other_files_are_refused(folder: Path) -> None:
    table = write(folder, "path,label", f"{GOOD},h\u00fcbsch", encoding="latin-1")
    with pytest.raises(DataError, match="save it as 'CSV UTF-8'"):
        load_dataset(table)
    with pytest.raises(DataError, match="a folder with one sub-folder a class, or a CSV file"):
        load_dataset(folder / GOOD)
