"""The two ways to train: fine-tune pretrained weights, or fit a whole network."""

import dataclasses
import logging
import time

import keras
import numpy as np

from linegate_training.fitting.callbacks import log_row
from linegate_training.fitting.checkpoint import Checkpoint
from linegate_training.fitting.examples import Examples
from linegate_training.fitting.features import (
    Features,
    FrozenLayers,
    activation_bytes,
    choose_draws,
    compute_features,
)
from linegate_training.fitting.head import LinearHead, Samples, fit_head
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.loop import Plan, fit
from linegate_training.fitting.sources import ActivationSource, PixelSource
from linegate_training.networks.base import (
    IMAGE,
    LOGITS,
    NORMALIZATION,
    cut_model,
    logit_layer,
)

_LOG = logging.getLogger(__name__)
_ACTIVATIONS_BYTES = 4 << 30
"""Memory that kept activations may take; with more images, fewer variants are kept."""


def fit_whole(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    plan: Plan,
    checkpoint: Checkpoint | None = None,
) -> list[HistoryRow]:
    """Train all layers of a network from pixels."""
    part = cut_model(model, IMAGE, LOGITS)
    return fit(part, train, validation, plan, head=logit_layer(model), checkpoint=checkpoint)


def fine_tune(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    plan: Plan,
    *,
    cut: str,
    variants: int,
    checkpoint: Checkpoint | None = None,
) -> list[HistoryRow]:
    """Fit the head on frozen features, then train the layers after a cut.

    Batch normalization keeps its statistics and parameters. The activations at the cut
    are computed once, for a few variants of each image; where not even one fits into
    memory, or nothing is frozen, the training takes pixels instead.

    Args:
        model: with pretrained weights and a fresh head.
        train: pixels.
        validation: pixels.
        plan: how to train the layers after the cut.
        cut: name of the last layer that stays frozen.
        variants: how many variants of each image to keep.
        checkpoint: where the state of the second stage is kept.
    """
    kept = min(variants, _affordable_variants(model, train, validation, cut))
    resumed = checkpoint is not None and checkpoint.exists()
    history: list[HistoryRow] = []
    if not resumed or kept:
        start = time.monotonic()
        features = _frozen_features(
            model, train, validation, plan, cut=cut if kept else None, variants=kept or variants
        )
        if not resumed:
            head = fit_head(
                _samples(train, features[0]),
                _samples(validation, features[1]),
                plan.monitor,
                fine_tuned=plan.epochs > 0,
            )
            _set_head(model, head)
            history = [_head_row(head, time.monotonic() - start)]
            log_row(history[0], 0)
        train, validation = _at_the_cut(train, features[0]), _at_the_cut(validation, features[1])
    _freeze(model, cut)
    part = cut_model(model, cut if kept else IMAGE, LOGITS)
    return fit(
        part,
        train,
        validation,
        plan,
        head=logit_layer(model),
        checkpoint=checkpoint,
        history=history,
    )


def _at_the_cut(examples: Examples, features: Features) -> Examples:
    """Return the examples with activations as inputs, if these were computed."""
    if features.cut is None:
        return examples
    return dataclasses.replace(examples, source=ActivationSource(features.cut))


def _frozen_features(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    plan: Plan,
    *,
    cut: str | None,
    variants: int,
) -> tuple[Features, Features]:
    augmenter = _pixels(train).augmenter
    draws = choose_draws(train.source.images, augmenter, variants, plan.seed)
    _LOG.info(
        "computing frozen features: %d images in %d variants each, %d for validation",
        *draws.shape,
        validation.source.images,
    )
    frozen = FrozenLayers(model, cut)
    return (
        compute_features(frozen, train.source, draws, "frozen features"),
        compute_features(frozen, validation.source, None, "validation features"),
    )


def _pixels(examples: Examples) -> PixelSource:
    if not isinstance(examples.source, PixelSource):
        raise TypeError(f"expected pixels to compute features from, got {examples.source!r}")
    return examples.source


def _affordable_variants(
    model: keras.Model, train: Examples, validation: Examples, cut: str
) -> int:
    """Return how many variants fit into memory; none if pixels are all that comes before."""
    if cut == NORMALIZATION:
        return 0
    images = _ACTIVATIONS_BYTES // activation_bytes(model, cut)
    return max(0, images - validation.source.images) // train.source.images


def _samples(examples: Examples, features: Features) -> Samples:
    variants = features.head.shape[1]
    truth = examples.truth
    chances = np.ones(len(truth.labels)) if truth.chances is None else truth.chances
    weights = truth.weights * chances / chances.mean()
    return Samples(
        features=features.head.reshape(-1, features.head.shape[-1]),
        targets=np.repeat(truth.targets, variants, axis=0),
        labels=np.repeat(truth.labels, variants),
        weights=np.repeat(weights.astype(np.float32), variants),
        defects=truth.defects,
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
        loss=head.train.loss,
        accuracy=head.train.accuracy,
        validation_loss=head.validation.loss,
        validation_accuracy=head.validation.accuracy,
        validation_auc=head.validation.auc,
        seconds=seconds,
    )
