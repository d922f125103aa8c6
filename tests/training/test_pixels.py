import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.images import read_image
from linegate_bundle.manifest import Colour, Fit, PreprocessSpec, Resize
from linegate_bundle.preprocess import Preprocessor
from linegate_training.data.cache import default_cache
from linegate_training.data.pixels import preprocess_all
from linegate_training.data.scan import scan
from tests.disk import room_for

SPEC = PreprocessSpec(
    colour=Colour.RGB,
    region=None,
    width=12,
    height=10,
    resize=Resize.LINEAR_EXACT,
    fit=Fit.STRETCH,
)


def test_rows_are_what_the_shared_preprocessing_gives(photographs: Path, tmp_path: Path) -> None:
    dataset = scan(photographs)
    pixels = preprocess_all(dataset, SPEC, tmp_path / "cache")
    assert pixels.array.shape == (90, 10, 12, 3)
    assert not pixels.array.flags.writeable
    for photo in dataset.photos[::7]:
        expected = Preprocessor(SPEC)(read_image(dataset.file(photo)))
        np.testing.assert_array_equal(pixels.array[pixels.rows[photo.sha256]], expected)


def test_same_pictures_elsewhere_use_the_cache_again(photographs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = preprocess_all(scan(photographs), SPEC, cache)
    (written,) = cache.glob("*.npy")
    time = written.stat().st_mtime_ns
    moved = tmp_path / "moved"
    shutil.copytree(photographs, moved)
    again = preprocess_all(scan(moved), SPEC, cache)
    assert written.stat().st_mtime_ns == time
    assert again.rows == first.rows


def test_identical_files_share_a_row(photographs: Path, tmp_path: Path) -> None:
    shutil.copy(photographs / "good" / "part000_0.png", photographs / "good" / "copy.png")
    assert len(preprocess_all(scan(photographs), SPEC, tmp_path / "cache").array) == 90


def cut_in_half(rows: Path) -> None:
    rows.write_bytes(rows.read_bytes()[: rows.stat().st_size // 2])


def empty(rows: Path) -> None:
    rows.write_bytes(b"")


def of_other_shape(rows: Path) -> None:
    np.save(rows, np.zeros((90, 3), np.uint8))


def without_list(rows: Path) -> None:
    rows.with_suffix(".corrupt.json").unlink()


def with_empty_list(rows: Path) -> None:
    rows.with_suffix(".corrupt.json").write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [cut_in_half, empty, of_other_shape, without_list, with_empty_list]
)
def test_a_damaged_cache_is_made_anew(
    photographs: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset, cache = scan(photographs), tmp_path / "cache"
    expected = np.array(preprocess_all(dataset, SPEC, cache).array)
    (written,) = cache.glob("*.npy")
    damage(written)
    np.testing.assert_array_equal(preprocess_all(dataset, SPEC, cache).array, expected)
    assert f"{written} is damaged" in caplog.text
    caplog.clear()
    preprocess_all(dataset, SPEC, cache)
    assert not caplog.records


def test_corrupt_images_are_reported_again_from_the_cache(
    photographs: Path, tmp_path: Path
) -> None:
    (photographs / "good" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    dataset = scan(photographs)
    (sha256,) = [photo.sha256 for photo in dataset.photos if photo.file_name == "broken.png"]
    for _ in range(2):
        pixels = preprocess_all(dataset, SPEC, tmp_path / "cache")
        assert pixels.corrupt == {sha256: "expected a whole image, the file is cut short"}


def test_full_disk_leaves_no_cache_behind(photographs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = scan(photographs)
    full = pytest.raises(DataError, match=r"cannot be written or read: .*--cache DIR")
    with full, room_for(4096):
        preprocess_all(dataset, SPEC, cache)
    assert list(cache.iterdir()) == []


def test_default_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/linegate")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "linegate"
