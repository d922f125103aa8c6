import hashlib
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Colour, DType, Fit, PreprocessSpec, Region, Resize
from linegate_bundle.preprocess import LETTERBOX_VALUE, Preprocessor, UInt8Array, crop, encode


def spec(
    width: int = 16,
    height: int = 16,
    colour: Colour = Colour.RGB,
    region: Region | None = None,
    resize: Resize = Resize.AREA_LINEAR_EXACT,
    fit: Fit = Fit.STRETCH,
) -> PreprocessSpec:
    return PreprocessSpec(
        colour=colour, region=region, width=width, height=height, resize=resize, fit=fit
    )


def noise(height: int, width: int, *channels: int) -> UInt8Array:
    shape = (height, width, *channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


sizes = st.integers(1, 300)


@settings(max_examples=200, deadline=None)
@given(
    frame_size=st.tuples(sizes, sizes),
    input_size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    grey=st.booleans(),
    colour=st.sampled_from(Colour),
    resize=st.sampled_from(Resize),
    fit=st.sampled_from(Fit),
)
def test_every_frame_fits_every_spec(
    frame_size: tuple[int, int],
    input_size: tuple[int, int],
    grey: bool,
    colour: Colour,
    resize: Resize,
    fit: Fit,
) -> None:
    frame = noise(*frame_size) if grey else noise(*frame_size, 3)
    wanted = spec(*input_size, colour=colour, resize=resize, fit=fit)
    pixels = Preprocessor(wanted)(frame)
    assert pixels.shape == wanted.shape
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("colour", Colour)
@pytest.mark.parametrize("fit", Fit)
def test_writing_into_an_array_gives_the_same(colour: Colour, fit: Fit) -> None:
    preprocess = Preprocessor(spec(colour=colour, fit=fit))
    frame = noise(40, 60, 3)
    out = np.zeros(preprocess.spec.shape, np.uint8)
    assert preprocess(frame, out) is out
    assert np.array_equal(out, preprocess(frame))


def test_red_comes_first_for_rgb() -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[..., 2] = 200
    assert Preprocessor(spec())(frame)[0, 0].tolist() == [200, 0, 0]


def test_a_frame_of_the_right_size_passes_unchanged() -> None:
    frame = noise(16, 16, 3)
    assert np.array_equal(Preprocessor(spec())(frame), frame[..., ::-1])


def test_the_callers_frame_is_left_alone() -> None:
    frame = noise(32, 32, 3)
    before = frame.copy()
    pixels = Preprocessor(spec(32, 32))(frame)
    pixels[:] = 0
    assert np.array_equal(frame, before)


def test_whole_blocks_are_averaged_so_that_a_fine_grid_does_not_alias() -> None:
    grid = np.indices((64, 64)).sum(axis=0) % 2 * 255
    pixels = Preprocessor(spec(16, 16, Colour.GRAY))(grid.astype(np.uint8))
    assert np.abs(pixels.astype(int) - 128).max() <= 1


def test_a_letterbox_keeps_the_shape_and_fills_with_grey() -> None:
    frame = np.full((10, 20, 3), 255, np.uint8)
    pixels = Preprocessor(spec(16, 16, fit=Fit.LETTERBOX))(frame)
    assert (pixels[:4] == LETTERBOX_VALUE).all()
    assert (pixels[4:12] == 255).all()
    assert (pixels[12:] == LETTERBOX_VALUE).all()


def test_the_region_is_cut_in_fractions_of_the_frame() -> None:
    frame = noise(100, 200, 3)
    region = Region(x=0.25, y=0.5, width=0.5, height=0.25)
    assert np.array_equal(crop(frame, region), frame[50:75, 50:150])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1), sizes, sizes)
def test_a_region_always_holds_a_pixel(
    x: float, y: float, width: float, height: float, columns: int, rows: int
) -> None:
    region = Region(x=x, y=y, width=min(width, 1 - x) or 0.001, height=min(height, 1 - y) or 0.001)
    assert crop(np.zeros((rows, columns), np.uint8), region).size > 0


def test_int8_input_is_exactly_pixel_minus_128() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    tensor = encode(pixels, DType.INT8)
    assert tensor.dtype == np.int8
    assert tensor.shape == (1, 16, 16, 1)
    assert np.array_equal(tensor[0].astype(int), pixels.astype(int) - 128)


def test_uint8_input_is_the_pixel_itself() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    tensor = encode(pixels, DType.UINT8)
    assert tensor.dtype == np.uint8
    assert np.array_equal(tensor, pixels[np.newaxis])


def test_float_input_is_the_pixel_itself() -> None:
    tensor = encode(np.full((2, 2, 3), 255, np.uint8), DType.FLOAT32)
    assert tensor.dtype == np.float32
    assert (tensor == 255).all()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((8,), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_what_is_no_frame_is_refused(frame: UInt8Array) -> None:
    with pytest.raises(DataError, match="expected a uint8 frame"):
        Preprocessor(spec())(frame)


def test_the_resize_is_the_bit_exact_one() -> None:
    frame = noise(30, 40, 3)
    expected = cv2.cvtColor(
        cv2.resize(frame, (16, 16), interpolation=cv2.INTER_LINEAR_EXACT), cv2.COLOR_BGR2RGB
    )
    assert np.array_equal(Preprocessor(spec(resize=Resize.LINEAR_EXACT))(frame), expected)


def reference(frame: UInt8Array, width: int, height: int) -> UInt8Array:
    """Leave out rows by hand, then resize."""
    step = frame.shape[0] // height
    kept = np.ascontiguousarray(frame[step // 2 :: step])
    resized = cv2.resize(kept, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return resized.view(np.uint8)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    across=st.integers(0, 90),
    down=st.integers(0, 90),
    left=st.integers(0, 3),
    grey=st.booleans(),
)
def test_rows_without_room_are_left_out(
    width: int, height: int, across: int, down: int, left: int, grey: bool
) -> None:
    shape = (2 * height + down, 2 * width + across)
    channels = () if grey else (3,)
    whole = noise(shape[0], shape[1] + left + 1, *channels)
    frame = whole[:, left : left + shape[1]]
    if min(shape[0] // height, shape[1] // width) > 8:
        return
    wanted = spec(width, height, Colour.GRAY if grey else Colour.RGB, resize=Resize.ROWS_EXACT)
    expected = reference(frame, width, height)
    expected = expected[..., np.newaxis] if grey else expected[..., ::-1]
    assert np.array_equal(Preprocessor(wanted)(frame), expected)


def test_a_frame_less_than_twice_as_large_keeps_all_rows() -> None:
    frame = noise(30, 40, 3)
    assert np.array_equal(
        Preprocessor(spec(16, 16, resize=Resize.ROWS_EXACT))(frame),
        Preprocessor(spec(16, 16, resize=Resize.LINEAR_EXACT))(frame),
    )


def test_rows_of_a_very_large_frame_are_taken_from_averages() -> None:
    grid = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = Preprocessor(spec(16, 16, Colour.GRAY, resize=Resize.ROWS_EXACT))(grid)
    assert np.abs(pixels.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("resize", Resize)
@pytest.mark.parametrize("fit", Fit)
def test_frames_of_one_size_take_no_new_memory(resize: Resize, fit: Fit) -> None:
    import tracemalloc

    preprocess = Preprocessor(spec(64, 64, resize=resize, fit=fit))
    out = np.empty((64, 64, 3), np.uint8)
    tensor = np.empty((1, 64, 64, 3), np.int8)
    frame = noise(480, 640, 3)
    encode(preprocess(frame, out), DType.INT8, tensor)
    tracemalloc.start()
    try:
        encode(preprocess(frame, out), DType.INT8, tensor)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4096


@pytest.mark.parametrize("dtype", DType)
def test_encoding_into_an_array_gives_the_same(dtype: DType) -> None:
    pixels = noise(8, 8, 3)
    out = np.zeros((1, 8, 8, 3), dtype.value)
    assert encode(pixels, dtype, out) is out
    assert np.array_equal(out, encode(pixels, dtype))


def test_frames_of_changing_sizes_are_each_prepared_as_alone() -> None:
    sizes = [(40, 60), (100, 90), (40, 60), (16, 16), (33, 17)]
    for resize in Resize:
        for fit in Fit:
            preprocess = Preprocessor(spec(resize=resize, fit=fit))
            for size in sizes:
                frame = noise(*size, 3)
                alone = Preprocessor(spec(resize=resize, fit=fit))(frame)
                assert np.array_equal(preprocess(frame), alone)


SAME_BYTES = {
    Resize.ROWS_EXACT: "4cca786f9475603a0af9c680cdc616b2ada0e2daf1eae7b91f7b03f5cacd75a8",
    Resize.LINEAR_EXACT: "24f17b8b0c6b86d1603f8e0d2c9bbfbec08f2b5234397fff8d8f8cfd4db8379b",
    Resize.AREA_LINEAR_EXACT: "9652e9379b6de9921c46a85e1311667499e90f4a6d94cffebf1ea83d60b6cca2",
}
"""SHA-256 of what each method made of the same frames, on x86-64 and on (emulated) aarch64."""


def bytes_of(resize: Resize) -> str:
    """Bring frames of several sizes to models of several sizes, and hash all of it."""
    digest = hashlib.sha256()
    rng = np.random.default_rng(0)
    for height, width in ((480, 640), (300, 300), (1080, 1920), (97, 131)):
        coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
        fine = rng.integers(0, 32, (height, width, 3), np.uint8)
        frame = coarse.repeat(8, 0).repeat(8, 1)[:height, :width] ^ fine
        for side, fit, colour in itertools.product((96, 224), Fit, Colour):
            wanted = spec(side, side, colour=colour, resize=resize, fit=fit)
            digest.update(Preprocessor(wanted)(frame).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("resize", Resize)
def test_a_frame_gives_the_same_bytes_on_every_processor(resize: Resize) -> None:
    assert bytes_of(resize) == SAME_BYTES[resize]


def test_what_is_left_of_whole_blocks_is_left_out_at_both_ends() -> None:
    row = np.array([200, *[10] * 5, *[20] * 5, *[30] * 5, 200], np.uint8)
    frame = row[np.newaxis, :, np.newaxis].repeat(3, axis=0).repeat(3, axis=2)
    pixels = Preprocessor(spec(3, 3, resize=Resize.AREA_LINEAR_EXACT))(frame)
    assert pixels[..., 0].tolist() == [[10, 20, 30]] * 3
