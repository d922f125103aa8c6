import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.run_folder import Part, encode_split, read_split
from linegate_runtime import cli
from linegate_training.commands.data import COMMAND
from linegate_training.data.check import check_data
from linegate_training.data.findings import DataReport, Kind
from linegate_training.data.page import render
from linegate_training.data.prepare import split_only
from linegate_training.data.split_options import SplitOptions
from linegate_training.options import CorruptImages
from tests.training.textures import again, part, write

CLEAN = {"ok": 40, "scratch": 26}


def line_up(folder: Path) -> Path:
    """Write parts of two classes that have nothing wrong with them."""
    rng = np.random.default_rng(5)
    for label, count in CLEAN.items():
        for number in range(count):
            picture = part(rng)
            if label == "scratch":
                cv2.line(picture, (20, 30), (90, 95), 240, 2)
            write(folder / label / f"{label}{number:03}.png", picture)
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_up(tmp_path_factory.mktemp("clean") / "parts")


@pytest.fixture
def parts(clean: Path, tmp_path: Path) -> Path:
    """A copy of the clean parts, to be spoilt."""
    return Path(shutil.copytree(clean, tmp_path / "parts"))


def checked(folder: Path, split: Path | None = None) -> DataReport:
    return check_data(folder, split=split, cache=folder.parent / "cache")


def read(folder: Path, number: int) -> npt.NDArray[Any]:
    picture = cv2.imread(str(folder / "ok" / f"ok{number:03}.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return picture


def test_nothing_is_found_where_nothing_is_wrong(clean: Path) -> None:
    report = checked(clean)
    assert report.findings == ()
    assert (report.images, report.contents) == (66, 66)
    assert [(figures.label, figures.images) for figures in report.classes] == list(CLEAN.items())
    assert [(tally.name, tally.images) for tally in report.sizes] == [("120 x 120", 66)]
    assert [(tally.name, tally.images) for tally in report.formats] == [("8 bit grey", 66)]


def cut_short(folder: Path) -> None:
    content = (folder / "ok" / "ok000.png").read_bytes()
    (folder / "ok" / "ok000.png").write_bytes(content[: len(content) // 2])


def copy_file(folder: Path) -> None:
    shutil.copy(folder / "ok" / "ok001.png", folder / "ok" / "x.png")


def copy_to_other_class(folder: Path) -> None:
    shutil.copy(folder / "ok" / "ok001.png", folder / "scratch" / "x.png")


def mirror(folder: Path) -> None:
    write(folder / "ok" / "x.png", np.ascontiguousarray(read(folder, 1)[:, ::-1]))


def mirror_to_other_class(folder: Path) -> None:
    write(folder / "scratch" / "x.png", np.ascontiguousarray(read(folder, 1)[:, ::-1]))


def burst(folder: Path) -> None:
    changed = again(0.7 * read(folder, 1) + 0.3 * read(folder, 2), np.random.default_rng(0))
    write(folder / "ok" / "ok001b.png", changed)


def darken(folder: Path) -> None:
    write(folder / "ok" / "ok001.png", (read(folder, 1) // 5).astype(np.uint8))


def brighten(folder: Path) -> None:
    write(folder / "ok" / "ok001.png", np.minimum(read(folder, 1) + 100.0, 255).astype(np.uint8))


def blur(folder: Path) -> None:
    write(folder / "ok" / "ok001.png", cv2.GaussianBlur(read(folder, 1), (0, 0), 4).view(np.uint8))


def resize(folder: Path) -> None:
    write(folder / "ok" / "ok001.png", cv2.resize(read(folder, 1), (160, 120)).view(np.uint8))


def twelve_bits(folder: Path) -> None:
    for number in range(40):
        deep = read(folder, number).astype(np.uint16) * 16
        cv2.imwrite(str(folder / "ok" / f"ok{number:03}.png"), deep)


def thin_out(folder: Path) -> None:
    for number in range(3, 26):
        (folder / "scratch" / f"scratch{number:03}.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "kinds", "message"),
    [
        (cut_short, {Kind.CORRUPT}, "1 file cannot be decoded"),
        (copy_file, {Kind.IDENTICAL}, "2 files hold only 1 picture"),
        (copy_to_other_class, {Kind.IDENTICAL, Kind.CONFLICT}, "1 pair of identical files"),
        (mirror, {Kind.NEAR_DUPLICATES}, "1 pair of near duplicates"),
        (mirror_to_other_class, {Kind.NEAR_DUPLICATES, Kind.CONFLICT}, "two labels"),
        (burst, {Kind.BURSTS}, "1 burst with 2 images"),
        (darken, {Kind.DARK}, "1 image: much darker"),
        (brighten, {Kind.BRIGHT}, "1 image: much brighter"),
        (blur, {Kind.BLURRED}, "1 image: much more blurred"),
        (resize, {Kind.SIZES}, "2 different sizes, most often 120 x 120"),
        (twelve_bits, {Kind.UNUSED_BITS}, "use at most 12 of them.*multiply the values by 16"),
        (thin_out, {Kind.FEW_IMAGES, Kind.IMBALANCE}, "Few images of scratch"),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    parts: Path, spoil: Callable[[Path], None], kinds: set[Kind], message: str
) -> None:
    spoil(parts)
    report = checked(parts)
    assert {finding.kind for finding in report.findings} == kinds
    assert re.search(message, " | ".join(finding.message for finding in report.findings))
    assert msgspec.json.decode(msgspec.json.encode(report), type=DataReport) == report


def test_duplicates_across_a_given_split_are_found(parts: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    split = tmp_path / "split.csv"
    rows = split_only(parts, SplitOptions(), CorruptImages.REFUSE, cache)
    inside = next(row for row in rows if row.part is Part.TEST and row.label == "ok")
    split.write_bytes(encode_split(list(rows)))
    assert checked(parts, split).leaks == ()
    picture = cv2.imread(str(parts / inside.path), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    write(parts / "ok" / "x.png", np.ascontiguousarray(picture[::-1]))
    rows = split_only(parts, SplitOptions(), CorruptImages.REFUSE, cache)
    assert len({row.part for row in rows if row.path in {inside.path, "ok/x.png"}}) == 1
    moved = [
        msgspec.structs.replace(row, part=Part.TRAIN, group="x") if row.path == "ok/x.png" else row
        for row in rows
    ]
    mate = next(row for row in rows if row.path == inside.path)
    assert mate.part is not Part.TRAIN
    split.write_bytes(encode_split(moved))
    report = checked(parts, split)
    (leak,) = report.leaks
    assert {leak.first.path, leak.second.path} == {inside.path, "ok/x.png"}
    assert leak.first.part is not leak.second.part
    assert Kind.LEAK in {finding.kind for finding in report.serious}


def test_the_page_needs_no_other_file_and_shows_the_pairs(parts: Path) -> None:
    mirror_to_other_class(parts)
    cut_short(parts)
    (parts / "ok" / "<b>&.png").write_bytes(b"no picture")
    page = render(checked(parts)).decode()
    assert page.index("2 serious things to mend") < page.index("<h2>")
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "ok/&lt;b&gt;&amp;.png" in page
    sheet = page[page.index('id="conflict"') :]
    assert "scratch/x.png" in sheet.partition("<h2")[0]
    assert "ok/ok001.png" in sheet.partition("<h2")[0]
    classes = page[page.index("What the classes look like") :]
    assert classes.count("data:image/jpeg") == 12 * len(CLEAN)
    assert page.count("data:image/jpeg") == 4 + 12 * len(CLEAN)
    anchors = set(re.findall(r'href="#([a-z_]+)"', page))
    assert anchors == set(re.findall(r'id="([a-z_]+)"', page)) == {
        "conflict", "near_duplicates", "corrupt",
    }  # fmt: skip


def test_the_page_of_clean_data_says_so(clean: Path) -> None:
    page = render(checked(clean)).decode()
    assert "Nothing was found" in page
    assert "12 of 40; spread over all" in page


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run ``linegate data`` as its entry point does."""
    monkeypatch.setattr(cli, "_commands", lambda _: [COMMAND])
    return cli.main(["data", *arguments])


def test_findings_are_no_errors_unless_strict(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut_short(parts)
    page = tmp_path / "page.html"
    given = ("check", str(parts), "--cache", str(tmp_path / "cache"))
    assert run(*given, "--out", str(page), monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"66 images in {parts}: ok 39, scratch 26\nserious: 1 file cannot")
    assert page.read_bytes().startswith(b"<!doctype html>")
    assert run(*given, "--json", "--strict", monkeypatch=monkeypatch) == DataError.exit_code
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out, type=DataReport).corrupt[0].path == "ok/ok000.png"
    assert "linegate: error: 1 file cannot be decoded" in err


def test_unusable_data_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", str(tmp_path / "none"), monkeypatch=monkeypatch) == DataError.exit_code
    assert "expected a folder" in capsys.readouterr().err


def test_the_split_command_writes_what_a_training_would_use(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, cache = tmp_path / "split.csv", tmp_path / "cache"
    given = ("split", str(clean), "--out", str(out), "--cache", str(cache), "--seed", "7")
    fractions = ("--fractions", "0.4", "0.2", "0.2", "0.2")
    assert run(*given, "--near-duplicates", "ignore", *fractions, monkeypatch=monkeypatch) == 0
    rows = read_split(out)
    assert len(rows) == 66
    assert sum(row.part is Part.TRAIN for row in rows) == pytest.approx(26, abs=1)
    assert len({row.group for row in rows}) == 66
