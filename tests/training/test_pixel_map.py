import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_training.weights.pixels import PixelMap, adapt_kernel

PREPROCESS = {
    "caffe": keras.applications.vgg16.preprocess_input,
    "torch": keras.applications.densenet.preprocess_input,
    "tf": keras.applications.mobilenet_v2.preprocess_input,
}


@pytest.mark.parametrize("mode", PREPROCESS)
def test_a_measured_map_does_what_keras_does_to_pixels(mode: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype(np.float32)
    found = PixelMap.of_function(PREPROCESS[mode], mode)
    expected = PREPROCESS[mode](pixels.copy())
    np.testing.assert_allclose(pixels @ found.matrix.T + found.offset, expected, atol=1e-4)


@pytest.mark.parametrize(("mode", "zero"), [("caffe", 115), ("torch", 114), ("tf", 128)])
def test_zero_is_the_grey_that_becomes_zero(mode: str, zero: int) -> None:
    assert PixelMap.of_function(PREPROCESS[mode], mode).zero == zero


def test_a_preprocessing_that_is_not_affine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"squares: expected a preprocessing that is affine"):
        PixelMap.of_function(np.square, "squares")


@given(
    scale=st.floats(1 / 300, 1),
    mean=st.integers(0, 255),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_an_adapted_kernel_gives_the_same_output_without_padding(
    scale: float, mean: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    matrix = np.diag(rng.uniform(0.005, 1, 3))[:, rng.permutation(3)]
    trained = PixelMap(matrix, rng.uniform(-130, 0, 3) * matrix.sum(axis=1))
    picture = rng.integers(0, 256, (3, 2, channels)).astype(np.float64)
    colours = np.broadcast_to(picture, (3, 2, 3))
    expected = np.einsum("hwi,hwif->f", colours @ trained.matrix.T + trained.offset, kernel)
    adapted, shift = adapt_kernel(kernel, trained, scale, -mean * scale, channels)
    got = np.einsum("hwc,hwcf->f", (picture - mean) * scale, adapted) + shift
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-3)
