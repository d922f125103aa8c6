"""The training loop: Adam, a cosine schedule with warm-up, the best weights by validation."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from linegate_bundle.errors import ConfigError
from linegate_training.fitting.backend import jit_compile
from linegate_training.fitting.batches import TrainingBatches
from linegate_training.fitting.callbacks import EpochEnd, ProgressBar, StopOnBrokenLoss
from linegate_training.fitting.checkpoint import Checkpoint, State
from linegate_training.fitting.examples import Examples
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.optimizer import Rates, make_optimizer
from linegate_training.fitting.sources import Source
from linegate_training.networks.base import Tensor
from linegate_training.options import Monitor

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train.

    Attributes:
        stage: name of the stage in the history.
        epochs: most passes over the train part.
        batch_size: images a step.
        rates: how far a step goes.
        monitor: which score on the validation part decides.
        patience: stop after so many epochs without a better score.
        label_smoothing: share of a label that is spread over all.
        seed: of the order of the images and of their variants.
        tensorboard: folder for TensorBoard's event files; None writes none.
    """

    stage: str
    epochs: int
    batch_size: int
    rates: Rates
    monitor: Monitor
    patience: int
    label_smoothing: float
    seed: int
    tensorboard: Path | None = None


def fit(
    model: keras.Model,
    train: Examples,
    validation: Examples,
    plan: Plan,
    *,
    head: keras.layers.Layer | None = None,
    checkpoint: Checkpoint | None = None,
    history: Sequence[HistoryRow] = (),
) -> list[HistoryRow]:
    """Train a model that ends in logits; it is left with its best weights.

    What the weights at the start reach on the validation part must be beaten, so a
    training never makes a model worse there. If it stops because of an error, the
    model also has its best weights.

    Args:
        model: takes float32 of the shape that the sources give.
        train: what is learned from.
        validation: what decides which weights are kept.
        plan: how to train.
        head: the layer that has its own learning rate.
        checkpoint: where the state is kept after each epoch; if there is one already,
            the training goes on from it, with the same result as if it had never stopped.
        history: of the stages before, which a state already has.

    Returns:
        The history of all stages.

    Raises:
        ConfigError: TensorBoard is asked for, but not installed.
        BrokenLossError: the loss is no longer finite.
        OSError: the state cannot be written.
    """
    if plan.epochs == 0:
        return list(history)
    state = None if checkpoint is None else checkpoint.load()
    batches = TrainingBatches(
        train.source,
        train.truth.targets,
        train.truth.weights,
        plan.batch_size,
        plan.seed,
        chances=train.truth.chances,
        epoch=0 if state is None else state.epoch,
    )
    steps = len(batches)
    outer = _with_small_inputs(model, train.source)
    _compile(outer, plan, steps, head)
    end = EpochEnd(
        plan.stage,
        epochs=plan.epochs,
        validation=validation,
        monitor=plan.monitor,
        patience=plan.patience,
        checkpoint=checkpoint,
        history=history,
    )
    if state is None:
        end.begin(outer)
    else:
        _restore(outer, state)
        end.resume(state)
        _LOG.info("%s: going on after epoch %d of %d", plan.stage, state.epoch, plan.epochs)
    try:
        if state is None or not state.stopped:
            outer.fit(
                batches,
                epochs=plan.epochs,
                initial_epoch=0 if state is None else state.epoch,
                shuffle=False,
                verbose=0,
                callbacks=[
                    StopOnBrokenLoss(plan.stage),
                    ProgressBar(plan.stage, steps),
                    end,
                    *_tensorboard(plan.tensorboard),
                ],
            )
    finally:
        end.restore_best(outer)
    _LOG.info("%s: kept the weights of epoch %d", plan.stage, end.best_epoch)
    if end.best_epoch == 0 and not history:
        _LOG.warning(
            "no epoch was better on validation than the random weights at the start, so these are "
            "kept and the model knows nothing; try another --learning-rate, more --epochs or "
            "pretrained --weights"
        )
    return end.rows


def _with_small_inputs(model: keras.Model, source: Source) -> keras.Model:
    """Return the model behind a cast, so that batches travel in the source's small dtype."""
    inputs = keras.Input(source.shape, dtype=np.dtype(source.dtype).name)
    return keras.Model(inputs, model(keras.ops.cast(inputs, keras.config.floatx())))


def _compile(model: keras.Model, plan: Plan, steps: int, head: keras.layers.Layer | None) -> None:
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=plan.label_smoothing
        )
        accuracy = keras.metrics.MeanMetricWrapper(_right_side, name="accuracy")
    else:
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=plan.label_smoothing
        )
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    optimizer = make_optimizer(plan.rates, head, epochs=plan.epochs, steps=steps)
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=jit_compile())


def _right_side(targets: Tensor, logits: Tensor) -> Tensor:
    """Return whether a logit has the sign of its target; a target may be any share."""
    return keras.ops.equal(targets >= 0.5, logits >= 0)  # noqa: PLR2004


def _restore(model: keras.Model, state: State) -> None:
    model.optimizer.build(model.trainable_variables)
    for variables, values in (
        (model.variables, state.variables),
        (model.optimizer.variables, state.optimizer),
    ):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def check_tensorboard(folder: Path | None) -> None:
    """Check that event files can be written, if they are asked for.

    Raises:
        ConfigError: TensorBoard is not installed, or the folder cannot be written to.
    """
    if folder is None:
        return
    try:
        import tensorboard  # noqa: F401, PLC0415 - what tf.summary needs, and Keras does not check
    except ImportError as error:
        raise ConfigError(
            "event files for TensorBoard need the package tensorboard, which is not installed; "
            'run `pip install "linegate[tensorboard]"`'
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: expected a folder for TensorBoard that can be written to "
            f"({error.strerror}); choose another --tensorboard"
        ) from error


def _tensorboard(folder: Path | None) -> list[keras.callbacks.Callback]:
    check_tensorboard(folder)
    return [] if folder is None else [keras.callbacks.TensorBoard(folder, write_graph=False)]
