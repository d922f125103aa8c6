import io
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Colour
from linegate_report.page import thumbnail
from linegate_report.reduce import reduced
from linegate_training.data.header import read_header
from linegate_training.data.looks import THUMBNAIL_SIDE, look_at, look_at_all
from linegate_training.data.outliers import find_outliers, modified_z
from linegate_training.data.scan import Dataset, Photo
from tests.disk import room_for
from tests.training.pictures import photo
from tests.training.textures import part, write

DATE, DATE_S = "2024:05:06 07:08:09", 1714979289.0


def photograph(exif: dict[int, str]) -> bytes:
    """Return a JPEG file with these tags about the shot."""
    tags = Image.Exif()
    tags.get_ifd(0x8769).update(exif)
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", exif=tags)
    return file.getvalue()


def encoded(suffix: str, picture: npt.NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(suffix, picture)[1].tobytes())


def test_the_cameras_clock_is_read_with_fractions() -> None:
    assert read_header(photograph({36867: DATE})).taken_s == DATE_S
    assert read_header(photograph({36867: DATE, 37521: "25"})).taken_s == DATE_S + 0.25
    assert math.isnan(read_header(photograph({36867: "0000:00:00 00:00:00"})).taken_s)
    assert math.isnan(read_header(photograph({})).taken_s)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 3)])
def test_bits_of_a_sample_are_read(suffix: str, shape: tuple[int, ...]) -> None:
    assert read_header(encoded(suffix, np.zeros(shape, np.uint8))).bits == 8
    assert read_header(encoded(suffix, np.zeros(shape, np.uint16))).bits == 16


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\x00", b"\xff\xd8\xff\xe1"]))
def test_a_damaged_header_says_nothing(rest: bytes, start: bytes) -> None:
    assert math.isnan(read_header(start + rest).taken_s)


def test_a_look_holds_what_the_file_shows(tmp_path: Path) -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 40:] = 200
    look = look_at(write(tmp_path / "a.png", picture))
    shown = [int(look[name]) for name in ("width", "height", "bits", "used_bits")]
    assert shown == [80, 40, 8, 8]
    assert not look["coloured"]
    assert look["brightness"] == pytest.approx(100)
    assert look["thumbnail"].shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    assert (look["thumbnail"][:, 0] == 0).all()
    assert (look["thumbnail"][:, -1] == 200).all()
    picture[0, 0] = (0, 0, 9)
    assert look_at(write(tmp_path / "b.png", picture))["coloured"]


def test_used_bits_of_a_twelve_bit_camera_are_counted(tmp_path: Path) -> None:
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for suffix in (".png", ".tiff"):
        path = tmp_path / f"deep{suffix}"
        path.write_bytes(encoded(suffix, deep))
        look = look_at(path)
        assert [int(look["bits"]), int(look["used_bits"])] == [16, 12]
        assert look["brightness"] < 8


def test_blur_lowers_the_sharpness(tmp_path: Path) -> None:
    picture = part(np.random.default_rng(0))
    blurred = cv2.GaussianBlur(picture, (0, 0), 2).view(np.uint8)
    sharp, soft = (
        look_at(write(tmp_path / f"{n}.png", p)) for n, p in enumerate((picture, blurred))
    )
    assert soft["sharpness"] < 0.2 * sharp["sharpness"]


@pytest.mark.parametrize("shape", [(3, 4000), (4000, 3), (1, 1)])
def test_thin_pictures_are_looked_at(tmp_path: Path, shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 80, np.uint8)
    look = look_at(write(tmp_path / "thin.png", picture))
    assert (int(look["height"]), int(look["width"])) == shape
    assert thumbnail(picture, Colour.RGB).startswith("data:image/jpeg")


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
def test_reduced_pictures_keep_shape_and_mean(height: int, width: int, side: int) -> None:
    picture = np.full((height, width), 90, np.uint8)
    small = reduced(picture, side)
    assert max(small.shape) == min(side, max(height, width))
    assert min(small.shape) >= 1
    assert (small == 90).all()


def test_looks_are_kept_and_full_disks_leave_none(tmp_path: Path) -> None:
    path = write(tmp_path / "good" / "a.png", part(np.random.default_rng(0)))
    (tmp_path / "good" / "b.png").write_bytes(b"no picture")
    photos = (Photo("good/a.png", "good", "1" * 64), Photo("good/b.png", "good", "2" * 64))
    dataset = Dataset(tmp_path, tmp_path, photos)
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=r"cannot be written.*--cache DIR"), room_for(1000):
        look_at_all(dataset, cache)
    assert list(cache.iterdir()) == []
    looks = look_at_all(dataset, cache)
    assert looks.corrupt.keys() == {"2" * 64}
    path.unlink()
    assert look_at_all(dataset, cache).array.tobytes() == looks.array.tobytes()


def test_dark_bright_and_blurred_images_stand_out_in_their_class() -> None:
    rng = np.random.default_rng(0)
    photos = [photo(f"good/{number}.png") for number in range(50)]
    photos += [photo(f"dark/{number}.png") for number in range(50)]
    brightness = np.concatenate([rng.normal(150, 8, 50), rng.normal(20, 8, 50)])
    sharpness = rng.normal(300, 20, 100)
    brightness[3], brightness[60], sharpness[7] = 20, 150, 5
    found = {(outlier.path, outlier.kind.value) for outlier in
             find_outliers(photos, brightness, sharpness)}  # fmt: skip
    assert found == {
        ("good/3.png", "dark"),
        ("dark/10.png", "bright"),
        ("good/7.png", "blurred"),
    }


def test_uniform_data_have_no_outliers() -> None:
    photos = [photo(f"good/{number}.png") for number in range(30)]
    brightness = np.full(30, 100.0)
    brightness[4] = 112.0
    sharpness = np.full(30, 50.0)
    sharpness[5] = 30.0
    assert find_outliers(photos, brightness, sharpness) == []


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), st.floats(0.1, 10))
def test_the_median_is_never_an_outlier(values: list[float], least: float) -> None:
    scores = modified_z(np.array(values), least)
    assert np.abs(scores).min() <= np.abs(scores[np.argsort(values)[len(values) // 2]])
    assert np.median(scores) == pytest.approx(0, abs=1e-6)
