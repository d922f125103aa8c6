"""What the input pipeline costs: an epoch from the cache on disk against plain arrays in memory.

Both train the same network on the same pixels with the same optimizer, without
augmentation, epochs in turn in one process, so that a busy machine slows both alike. The
plain one is ``model.fit`` on arrays in memory as Keras' own guide has it; linegate's reads a
memory-mapped file and, as in every training, saves its state after each epoch.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from linegate_training.augment.augmentation import NOTHING
from linegate_training.augment.augmenter import Augmenter
from linegate_training.fitting.checkpoint import Checkpoint
from linegate_training.fitting.examples import Examples, Truth
from linegate_training.fitting.loop import Plan, fit
from linegate_training.fitting.optimizer import Rates
from linegate_training.fitting.sources import PixelSource
from linegate_training.networks.base import IMAGE, LOGITS, build_model, cut_model
from linegate_training.networks.registry import load_network
from linegate_training.options import Monitor
from tests.benchmarks.bench import FOLDER, Result, write

_VALIDATION = 128
_BATCH = 32
_ROUNDS, _EPOCHS = 5, 4
_NETWORKS = (("basic_cnn", 64, 1024), ("efficientnet_lite0", 96, 256))
"""With the side of the input, and the images of an epoch."""

UInt8Array = npt.NDArray[np.uint8]


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes the seconds of each epoch, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        self.seconds.append(time.monotonic() - self._start)


def _model(network: str, size: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return cut_model(build_model(load_network(network), (size, size, 3), 2), IMAGE, LOGITS)


def _from_cache(network: str, cache: Path, labels: npt.NDArray[np.int64]) -> list[float]:
    """Return the seconds of epochs with linegate's own loop."""
    pixels = np.load(cache, mmap_mode="r")
    state = cache.with_name("state.npz")
    state.unlink(missing_ok=True)

    def examples(rows: npt.NDArray[np.int64]) -> Examples:
        source = PixelSource(pixels, rows, Augmenter(NOTHING, pixels.shape[1:]))
        truth = Truth(
            labels[rows],
            labels[rows, np.newaxis].astype(np.float32),
            np.ones(len(rows), np.float32),
            np.array([False, True]),
        )
        return Examples(source, truth)

    plan = Plan(
        stage="training",
        epochs=_EPOCHS,
        batch_size=_BATCH,
        rates=Rates(highest=1e-3),
        monitor=Monitor.LOSS,
        patience=_EPOCHS,
        label_smoothing=0.0,
        seed=0,
    )
    split = np.split(np.arange(len(pixels)), [len(pixels) - _VALIDATION])
    rows = fit(
        _model(network, pixels.shape[1]),
        examples(split[0]),
        examples(split[1]),
        plan,
        checkpoint=Checkpoint(state),
    )
    return [row.seconds for row in rows if row.epoch]


def _from_memory(network: str, pixels: UInt8Array, labels: npt.NDArray[np.int64]) -> list[float]:
    """Return the seconds of epochs with plain Keras."""
    images = pixels.astype(np.float32)
    targets = labels[:, np.newaxis].astype(np.float32)
    model = _model(network, pixels.shape[1])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=[accuracy])
    clock = _Clock()
    model.fit(
        images[:-_VALIDATION],
        targets[:-_VALIDATION],
        validation_data=(images[-_VALIDATION:], targets[-_VALIDATION:]),
        epochs=_EPOCHS,
        batch_size=_BATCH,
        verbose=0,
        callbacks=[clock],
    )
    return clock.seconds


def measure() -> Result:
    """Train in turn, several rounds; the first epoch of each, which compiles, is left out."""
    rows: list[tuple[str | int | float, ...]] = []
    ratios = []
    for network, size, images in _NETWORKS:
        random = np.random.default_rng(0)
        count = images + _VALIDATION
        pixels = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        labels = np.arange(count) % 2
        seconds: dict[str, list[float]] = {"cache": [], "memory": []}
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            cache = Path(folder) / "pixels.npy"
            np.save(cache, pixels)
            for _ in range(_ROUNDS):
                seconds["cache"] += _from_cache(network, cache, labels)[1:]
                seconds["memory"] += _from_memory(network, pixels, labels)[1:]
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        ratios.append(medians["cache"] / medians["memory"])
        best = {name: min(times) for name, times in seconds.items()}
        rows.append(
            (network, size, images, *itertools.chain(medians.values(), best.values()), ratios[-1])
        )
    return Result(
        name="training-input",
        protocol=(
            f"{_VALIDATION} images for validation, batches of {_BATCH}, {_ROUNDS} rounds in "
            f"turn, seconds an epoch: median and least of {_ROUNDS * (_EPOCHS - 1)}"
        ),
        columns=(
            "network",
            "size",
            "images",
            "cache",
            "memory",
            "cache least",
            "memory least",
            "ratio",
        ),
        rows=rows,
        figures={"epoch_ratio": max(ratios)},
    )


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(measure())
