"""The two ways to train: fine-tune pretrained weights, or fit a whole network."""

import dataclasses
import logging
import time
from collections.abc import Sequence

import keras
import numpy as np

from linegate_bundle.manifest import Label
from linegate_bundle.run_folder import Part
from linegate_training.data.prepare import Prepared
from linegate_training.fitting.callbacks import log_row
from linegate_training.fitting.features import (
    Features,
    FrozenLayers,
    activation_bytes,
    choose_views,
    compute_features,
)
from linegate_training.fitting.head import LinearHead, Samples, fit_head
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.loop import Examples, Plan, fit
from linegate_training.fitting.sources import (
    ActivationSource,
    Float32Array,
    IntArray,
    PixelSource,
    Source,
)
from linegate_training.networks.base import (
    IMAGE,
    LOGITS,
    NORMALIZATION,
    cut_model,
    logit_layer,
)
from linegate_training.options import ClassWeights

_LOG = logging.getLogger(__name__)
_ACTIVATIONS_BYTES = 4 << 30
"""Memory that kept activations may take; with more images, fewer views are kept."""


@dataclasses.dataclass(frozen=True)
class Images:
    """One part of the split, ready for fitting.

    Attributes:
        source: the pixels.
        labels: number of each image's label in the model's order.
        targets: what the loss compares with, see :class:`Examples`.
        weights: how much each image counts.
    """

    source: PixelSource
    labels: IntArray
    targets: Float32Array
    weights: Float32Array

    def examples(self, source: Source) -> Examples:
        """Return the labels with inputs from ``source``."""
        return Examples(source, self.targets, self.weights)


def collect(
    prepared: Prepared,
    part: Part,
    labels: Sequence[Label],
    views: Sequence[int],
    class_weights: ClassWeights,
) -> Images:
    """Collect the images of one part.

    Args:
        prepared: pixels and split.
        part: which part.
        labels: in the model's order.
        views: numbers of the views that the images may be seen in.
        class_weights: how much an image of each class counts.
    """
    numbers = {label.name: number for number, label in enumerate(labels)}
    chosen = [row for row in prepared.rows if row.part is part]
    targets = np.array([numbers[row.label] for row in chosen])
    rows = np.array([prepared.pixels.rows[row.sha256] for row in chosen])
    if len(labels) == 2:  # noqa: PLR2004 - two labels share one logit
        encoded = targets[:, np.newaxis].astype(np.float32)
    else:
        encoded = np.eye(len(labels), dtype=np.float32)[targets]
    weights = np.ones(len(chosen), np.float32)
    if class_weights is ClassWeights.BALANCED:
        counts = np.bincount(targets, minlength=len(labels))
        weights = (len(chosen) / (len(labels) * counts))[targets].astype(np.float32)
    return Images(PixelSource(prepared.pixels.array, rows, views), targets, encoded, weights)


def fit_whole(
    model: keras.Model, train: Images, validation: Images, plan: Plan
) -> list[HistoryRow]:
    """Train all layers of a network from pixels."""
    part = cut_model(model, IMAGE, LOGITS)
    return fit(part, train.examples(train.source), validation.examples(validation.source), plan)


def fine_tune(
    model: keras.Model, train: Images, validation: Images, plan: Plan, *, cut: str, views: int
) -> list[HistoryRow]:
    """Fit the head on frozen features, then train the layers after a cut.

    Batch normalization keeps its statistics and parameters. The activations at the cut
    are computed once, for a few views of each image; where not even one fits into
    memory, the frozen layers run in every step instead.

    Args:
        model: with pretrained weights and a fresh head.
        train: images in all views.
        validation: images as they are.
        plan: how to train the layers after the cut.
        cut: name of the last layer that stays frozen.
        views: how many views of each image to keep.
    """
    kept = min(views, _affordable_views(model, train, validation, cut))
    kept_cut = cut if kept > 0 else None
    start = time.monotonic()
    chosen = choose_views(train.source.images, train.source.views, kept or views, plan.seed)
    _LOG.info(
        "computing frozen features: %d images in %d views each, %d for validation",
        *chosen.shape,
        validation.source.images,
    )
    frozen = FrozenLayers(model, kept_cut)
    train_features = compute_features(frozen, train.source, chosen, "frozen features")
    unturned = np.zeros((validation.source.images, 1), np.int64)
    validation_features = compute_features(
        frozen, validation.source, unturned, "validation features"
    )
    head = fit_head(_samples(train, train_features), _samples(validation, validation_features))
    _set_head(model, head)
    history = [_head_row(head, time.monotonic() - start)]
    log_row(history[0], 0)
    _freeze(model, cut)
    if train_features.cut is None or validation_features.cut is None:
        return history + fit_whole(model, train, validation, plan)
    tail = cut_model(model, cut, LOGITS)
    return history + fit(
        tail,
        train.examples(ActivationSource(train_features.cut)),
        validation.examples(ActivationSource(validation_features.cut)),
        plan,
    )


def _affordable_views(model: keras.Model, train: Images, validation: Images, cut: str) -> int:
    """Return how many views fit into memory; none if pixels are all that comes before."""
    if cut == NORMALIZATION:
        return 0
    images = _ACTIVATIONS_BYTES // activation_bytes(model, cut)
    return max(0, images - validation.source.images) // train.source.images


def _samples(images: Images, features: Features) -> Samples:
    views = features.head.shape[1]
    return Samples(
        features=features.head.reshape(-1, features.head.shape[-1]),
        labels=np.repeat(images.labels, views),
        weights=np.repeat(images.weights, views),
    )


def _set_head(model: keras.Model, head: LinearHead) -> None:
    layer = logit_layer(model)
    layer.set_weights([head.kernel.reshape(layer.kernel.shape), head.bias])


def _freeze(model: keras.Model, cut: str) -> None:
    """Freeze the layers up to the cut, and all batch normalization.

    The statistics of thousands of pictures are better than those of a few dozen.
    """
    for layer in cut_model(model, IMAGE, cut).layers:
        layer.trainable = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _head_row(head: LinearHead, seconds: float) -> HistoryRow:
    return HistoryRow(
        stage="head",
        epoch=0,
        learning_rate=0.0,
        loss=head.loss,
        accuracy=head.accuracy,
        validation_loss=head.validation_loss,
        validation_accuracy=head.validation_accuracy,
        seconds=seconds,
    )
