"""Reading images, writing files as a whole, and the run folder."""

import errno
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.atomic import atomic_file, write_atomic
from linegate_bundle.errors import DataError
from linegate_bundle.images import decode_image, find_images, read_image
from linegate_bundle.run_folder import Part, RunFolder, SplitRow, encode_split, read_split

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_come_back_as_they_were(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), PICTURE)
    assert np.array_equal(read_image(path), PICTURE)


def test_grey_and_sixteen_bit_pictures_become_bgr_bytes(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((4, 4), 0x8000, np.uint16))
    assert read_image(path).tolist() == np.full((4, 4, 3), 0x80).tolist()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@given(data=st.data())
def test_a_picture_cut_short_is_refused(suffix: str, data: st.DataObject) -> None:
    content = cv2.imencode(suffix, PICTURE)[1].tobytes()
    length = data.draw(st.integers(0, len(content) - 3))
    with pytest.raises(DataError):
        decode_image(content[:length])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_trailer_after_the_end_is_no_damage(suffix: str) -> None:
    content = cv2.imencode(suffix, PICTURE)[1].tobytes()
    assert decode_image(content + b"x" * 9000).shape == PICTURE.shape


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    picture = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", PICTURE[:8, :8])[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = picture[:2] + segment + picture[2:]
    assert decode_image(whole).shape == PICTURE.shape
    with pytest.raises(DataError, match="cut short"):
        decode_image(whole[: len(segment) + 200])


def test_the_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: expected an image"):
        read_image(path)
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        read_image(tmp_path / "b.png")


def deep(colour: bool) -> npt.NDArray[np.uint16]:
    ramp = (np.arange(40 * 50).reshape(40, 50) * 32).astype(np.uint16)
    return np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]) if colour else ramp


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("colour", [False, True])
def test_sixteen_bits_are_brought_to_eight_by_the_high_byte(
    suffix: str, colour: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), deep(colour))
    high = (deep(colour) >> 8).astype(np.int64).reshape(40, 50, -1)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (40, 50, 3)
    # OpenCV rounds colour TIFF instead of cutting it.
    assert np.abs(image - high).max() <= (suffix == ".tiff" and colour)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_grey_and_transparent_pictures_become_the_same_three_channels(
    suffix: str, tmp_path: Path
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / f"colour{suffix}"), picture)
    cv2.imwrite(str(tmp_path / f"grey{suffix}"), picture[..., 0])
    assert np.array_equal(read_image(tmp_path / f"colour{suffix}"), picture)
    grey = np.repeat(picture[..., :1], 3, axis=2)
    assert np.array_equal(read_image(tmp_path / f"grey{suffix}"), grey)
    if suffix != ".bmp":
        alpha = np.dstack([picture, np.full((12, 14), 255, np.uint8)])
        cv2.imwrite(str(tmp_path / f"alpha{suffix}"), alpha)
        assert np.array_equal(read_image(tmp_path / f"alpha{suffix}"), picture)


def test_hidden_files_and_other_files_are_no_images(tmp_path: Path) -> None:
    (tmp_path / ".thumbs").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "1.png", "notes.txt", ".thumbs/1.png", "._1.png"):
        (tmp_path / name).write_bytes(b"")
    names = [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)]
    assert names == ["1.png", "b/2.JPG"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    message = "no space"

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, message)

    with pytest.raises(OSError, match="no space"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def rows() -> list[SplitRow]:
    return [
        SplitRow(
            path=f"ok/{index}.png", label="ok", group=str(index // 2), part=part, sha256="0" * 64
        )
        for index, part in enumerate([Part.TRAIN, Part.TRAIN, Part.TEST, Part.TEST])
    ]


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"), min_size=1)


@given(text, text, st.floats(0, 1e6), text)
def test_a_split_comes_back_as_it_was_written(
    name: str, label: str, weight: float, soft: str
) -> None:
    import tempfile

    row = SplitRow(
        path=name,
        label=label,
        group=label,
        part=Part.TRAIN,
        sha256="a" * 64,
        weight=weight,
        soft_label=soft,
    )
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(encode_split([row]))
        assert read_split(Path(file.name)) == [row]


def test_a_split_without_weights_counts_every_image_once(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    whole = encode_split(rows()).decode().splitlines()
    assert whole[0] == "path,label,group,part,sha256,weight,soft_label"
    path.write_text("".join(",".join(line.split(",")[:5]) + "\n" for line in whole))
    assert read_split(path) == rows()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("path,label", "path,class", "expected the columns"),
        (
            "ok/1.png,ok,0,train",
            "ok/1.png,ok,0,test",
            r"row 3: the group '0' is in train and in test",
        ),
        ("ok/1.png", "ok/0.png", r"row 3: ok/0\.png is in row 2 already"),
        (",train,", ",training,", "row 2: Invalid enum value 'training'"),
        ("0" * 64 + ",1,", "xyz,1,", "row 2"),
        (",1,\n", ",-1,\n", r"row 2: Expected `float` >= 0"),
        (",1,\n", ",heavy,\n", "row 2: Expected `float`"),
        (",ok,1,test", ",ok,test", "row 4"),
    ],
)
def test_a_wrong_split_names_the_row(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text(encode_split(rows()).decode().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_split(path)


def test_a_folder_without_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a run folder with run\.json"):
        RunFolder(tmp_path).read_record()
