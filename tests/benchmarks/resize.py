"""Ways to bring a picture to the model's size: what they cost and what they are worth.

Quality: ELPV's 2,624 pictures of 300x300, brought to 64 and 96 pixels; features of
EfficientNet-Lite0 with ImageNet weights, frozen; logistic regression on three quarters, accuracy
and AUC on the rest, means of eight random divisions. Time: median for a 640x480 BGR frame to
96x96 and 224x224 with the colours swapped, by turns, three frames. ``nearest`` and ``linear``
are OpenCV's own, for comparison: the second gives other bytes on other processors.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from linegate_bundle.manifest import Colour, Fit, PreprocessSpec, Resize
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from tests.benchmarks.bench import Result, Value, show_progress, write

_SIDES = (64, 96)
_TIMED_SIDES = (96, 224)
_DIVISIONS = 8
_ROUNDS = 400
_BATCH = 128

Way = Callable[[UInt8Array, int], UInt8Array]


def _ours(method: Resize) -> Way:
    made: dict[int, Preprocessor] = {}

    def bring(frame: UInt8Array, side: int) -> UInt8Array:
        if side not in made:
            spec = PreprocessSpec(
                colour=Colour.RGB,
                region=None,
                width=side,
                height=side,
                resize=method,
                fit=Fit.STRETCH,
            )
            made[side] = Preprocessor(spec)
        return made[side](frame)

    return bring


def _opencv(interpolation: int) -> Way:
    def bring(frame: UInt8Array, side: int) -> UInt8Array:
        small = cv2.resize(frame, (side, side), interpolation=interpolation)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB).view(np.uint8)

    return bring


WAYS: dict[str, Way] = {
    **{method.value: _ours(method) for method in Resize},
    "nearest": _opencv(cv2.INTER_NEAREST),
    "linear": _opencv(cv2.INTER_LINEAR),
}


def times(side: int) -> dict[str, float]:
    """Return the median microseconds of each way."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(3)]
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(_ROUNDS):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(frames[number % 3], side)
            taken[name].append(time.perf_counter() - start)
    return {name: 1e6 * statistics.median(one) for name, one in taken.items()}


def qualities(side: int) -> dict[str, tuple[float, float]]:
    """Return accuracy and AUC of each way."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from elpv_dataset.utils import load_dataset

    pictures, probability, _ = load_dataset()
    truth = (probability >= 0.5).astype(int)
    features = _feature_net(side)
    found = {}
    for name, way in WAYS.items():
        prepared = [way(cv2.cvtColor(one, cv2.COLOR_GRAY2BGR), side).copy() for one in pictures]
        found[name] = _regress(_features(features, np.stack(prepared)), truth)
    return found


def _feature_net(side: int) -> Any:
    import keras

    from linegate_training.networks.base import LOGIT_MAP, build_model
    from linegate_training.networks.efficientnet_lite0 import EFFICIENTNET_LITE0, load_imagenet

    model = build_model(EFFICIENTNET_LITE0, (side, side, 3), 2)
    load_imagenet(model, None)
    last = model.get_layer(LOGIT_MAP).input
    return keras.Model(model.input, keras.layers.GlobalAveragePooling2D()(last))


def _features(net: Any, pictures: UInt8Array) -> Any:
    batches = range(0, len(pictures), _BATCH)
    return np.concatenate(
        [net(pictures[at : at + _BATCH].astype(np.float32), training=False) for at in batches]
    )


def _regress(features: Any, truth: Any) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    accuracies, aucs = [], []
    for seed in range(_DIVISIONS):
        order = np.random.default_rng(seed).permutation(len(truth))
        known, held = np.split(order, [len(truth) * 3 // 4])
        mean, deviation = features[known].mean(0), features[known].std(0) + 1e-6
        fitted = LogisticRegression(C=0.003, max_iter=300)
        fitted.fit((features[known] - mean) / deviation, truth[known])
        given = fitted.predict_proba((features[held] - mean) / deviation)[:, 1]
        accuracies.append(float(((given > 0.5) == truth[held]).mean()))
        aucs.append(float(roc_auc_score(truth[held], given)))
    return statistics.mean(accuracies), statistics.mean(aucs)


def measure() -> Result:
    """Time every way, then judge it."""
    timed = {side: times(side) for side in _TIMED_SIDES}
    judged = {side: qualities(side) for side in _SIDES}
    rows: list[tuple[Value, ...]] = [
        (
            name,
            *(round(timed[side][name], 1) for side in _TIMED_SIDES),
            *(value for side in _SIDES for value in judged[side][name]),
        )
        for name in WAYS
    ]
    return Result(
        name="resize",
        protocol=__doc__ or "",
        columns=(
            "way",
            *(f"µs to {side}" for side in _TIMED_SIDES),
            *(f"{what} at {side}" for side in _SIDES for what in ("accuracy", "AUC")),
        ),
        rows=rows,
        figures={f"{name}.us_{side}": timed[side][name] for name in WAYS for side in _TIMED_SIDES},
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
