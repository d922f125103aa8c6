"""Ranges: what is observed is what the tensors hold, and each method covers what it says."""

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Deployable
from linegate_export.quantization import ranges
from linegate_export.quantization.probe import Probe
from linegate_export.quantization.ranges import BINS, Observed, observe
from tests.export import nets


@pytest.fixture(scope="module")
def pictures() -> UInt8Array:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, nets.SIDE, nets.SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def observed(float_tflite: bytes, deployable: Deployable, pictures: UInt8Array) -> Observed:
    return observe(float_tflite, pictures, deployable.normalization, histograms_of=12)


def of(values: np.ndarray) -> Observed:
    """What would be observed of one tensor with these values, on one picture."""
    low, high = float(values.min()), float(values.max())
    return Observed(
        tensors=("x",),
        lows=np.array([[low]]),
        highs=np.array([[high]]),
        histograms=ranges._counts(values.astype(np.float32), low, high)[np.newaxis],
        given={},
    )


def rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    return np.clip(np.round((values - low) / step), 0, 255) * step + low


def test_least_and_largest_values_are_those_of_the_tensors(
    observed: Observed, float_tflite: bytes, deployable: Deployable, pictures: UInt8Array
) -> None:
    probe = Probe(float_tflite, deployable.normalization)
    chosen = observed.min_max([3])
    probe.run(pictures[3])
    tensors = ranges.activations(float_tflite)
    assert {tensor.name for tensor in tensors} == set(observed.tensors)
    for tensor in tensors:
        values = probe.values(tensor)
        assert chosen[tensor.name].low == pytest.approx(float(values.min()))
        assert chosen[tensor.name].high == pytest.approx(float(values.max()))


def test_every_picture_widens_the_range_or_leaves_it(observed: Observed) -> None:
    some, every = observed.min_max([0, 1]), observed.min_max()
    for name in observed.tensors:
        assert every[name].low <= some[name].low <= some[name].high <= every[name].high


def test_the_inputs_range_is_that_of_all_pixels_whatever_was_seen(
    float_tflite: bytes, deployable: Deployable, pictures: UInt8Array
) -> None:
    grey = observe(float_tflite, pictures // 4 + 90, deployable.normalization, histograms_of=1)
    (image,) = grey.given
    for chosen in (grey.min_max(), grey.percentile(0.99), grey.least_error()):
        assert (chosen[image].low, chosen[image].high) == (-127 / 128, 128 / 128)


def test_histograms_count_every_value_of_the_chosen_pictures(
    observed: Observed, float_tflite: bytes, pictures: UInt8Array
) -> None:
    sizes = [int(np.prod(tensor.shape)) for tensor in ranges.activations(float_tflite)]
    assert observed.histograms.shape == (len(sizes), BINS)
    assert observed.histograms.sum(axis=1).tolist() == [size * len(pictures) for size in sizes]


def test_a_percentile_leaves_an_outlier_out_and_keeps_the_rest() -> None:
    values = np.concatenate([np.linspace(-1, 1, 100_000), [500.0]])
    chosen = of(values).percentile(0.999)["x"]
    width = 501 / BINS
    assert chosen.high <= 1 + width
    assert chosen.low >= -1


def test_a_percentile_never_cuts_the_zero_of_a_relu() -> None:
    chosen = of(np.maximum(np.random.default_rng(0).normal(size=10_000), 0)).percentile(0.9)["x"]
    assert chosen.low == 0


@given(
    arrays.arrays(
        np.float64,
        st.integers(50, 400),
        elements=st.floats(-100, 100, allow_nan=False, width=32),
    ).filter(lambda values: np.ptp(values) > 1e-3)
)
def test_least_error_is_never_worse_than_covering_all(values: np.ndarray) -> None:
    observed = of(values)
    full, best = observed.min_max()["x"], observed.least_error()["x"]
    # Bins stand for the values in them, and a step is counted by its expected error.
    step = (max(full.high, 0) - min(full.low, 0)) / 255
    allowed = step**2 / 12 + (np.ptp(values) / BINS) ** 2
    assert np.mean((rounded(values, best.low, best.high) - values) ** 2) <= (
        np.mean((rounded(values, full.low, full.high) - values) ** 2) + 2 * allowed
    )


def test_least_error_gives_up_a_rare_outlier() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=100_000), [30.0]])
    assert of(values).least_error()["x"].high < 28


def test_a_tensor_that_is_always_the_same_has_a_range() -> None:
    observed = of(np.zeros(10))
    for chosen in (observed.min_max(), observed.percentile(0.999), observed.least_error()):
        assert chosen["x"].low <= 0 <= chosen["x"].high
