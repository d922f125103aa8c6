import argparse
from pathlib import Path

import cv2
import pytest

from linegate_bundle.errors import ConfigError, DataError, OutputError
from linegate_bundle.images import read_image
from linegate_training.commands.explain import COMMAND
from tests.training.html_page import Page
from tests.training.known_nets import TWO, HeadKind, blob, known_net, write_run

TINY = Path(__file__).parents[1] / "data" / "tiny.linegate"


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two pictures of the same name in two folders."""
    paths = [tmp_path / folder / "part <1>.png" for folder in ("a", "b")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        cv2.imwrite(str(path), blob(1, 16 * number))
    return paths


def test_a_run_becomes_pictures_and_a_page_that_needs_nothing_else(
    tmp_path: Path, images: list[Path]
) -> None:

    write_run(tmp_path / "run", known_net(HeadKind.CLASS_MAP), TWO)
    out = tmp_path / "out" / "deep"
    assert run(tmp_path / "run", *images, "--out", out) == 0
    names = {path.name for path in out.iterdir()}
    expected = {"explain.html", "filters.png"}
    for number in ("01", "02"):
        parts = ("input", "heat", "map", "stage01-first", "stage02-pooled")
        expected |= {f"{number}-part-1-.{part}.png" for part in parts}
    assert names == expected
    for name in names - {"explain.html"}:
        assert read_image(out / name).size
    page = Page((out / "explain.html").read_text())
    pictures = {alt: uri for alt, uri in page.sources.items() if alt != "None"}
    assert pictures
    assert all(uri.startswith("data:image/") for uri in pictures.values())
    assert "Label blob" in page.text
    assert "no verdict" in page.text
    assert "part <1>.png" in page.text
    assert "speaks for blob" in page.text


def test_a_bundle_is_explained_with_its_verdict(tmp_path: Path, images: list[Path]) -> None:
    assert run(TINY, images[0], "--out", tmp_path / "out") == 0
    text = (tmp_path / "out" / "explain.html").read_text()
    assert "verdict <b>" in text
    assert "in steps of" in text


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path, images: list[Path]) -> None:
    for folder in ("one", "two"):
        run(TINY, *images, "--out", tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_page_is_replaced_only_with_force(tmp_path: Path, images: list[Path]) -> None:
    run(TINY, images[0], "--out", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"exists already; .*--force"):
        run(TINY, images[0], "--out", tmp_path / "out")
    assert run(TINY, images[1], "--out", tmp_path / "out", "--force") == 0


def test_a_picture_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png"):
        run(TINY, tmp_path / "a.png", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, images: list[Path]) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be made"):
        run(TINY, images[0], "--out", tmp_path / "file" / "out")


def test_too_many_images_are_refused(tmp_path: Path, images: list[Path]) -> None:
    with pytest.raises(DataError, match="at most 50 images, got 51"):
        run(TINY, *[images[0]] * 51, "--out", tmp_path / "out")
