"""The training loop: Adam, a cosine schedule with warm-up, the best weights by validation."""

import dataclasses
import logging

import keras

from linegate_training.fitting.backend import jit_compile
from linegate_training.fitting.batches import PlainBatches, TrainingBatches
from linegate_training.fitting.callbacks import KeepBest, Recorder, StopOnBrokenLoss
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.sources import Float32Array, Source

_LOG = logging.getLogger(__name__)
_WARM_UP = 0.05
"""Share of all steps in which the learning rate rises."""
_EVALUATION_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Examples:
    """Inputs with what is to be learned about them.

    Attributes:
        source: the inputs.
        targets: float32 of shape ``(images, outputs)``: 0 or 1 for one output, else
            one 1 a row.
        weights: float32 of shape ``(images,)``: how much each image counts.
    """

    source: Source
    targets: Float32Array
    weights: Float32Array


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        stage: name of the stage in the history.
        epochs: most passes over the train part.
        batch_size: images a step.
        learning_rate: highest value of the schedule.
        patience: stop after so many epochs without a lower validation loss.
        label_smoothing: share of a label that is spread over all.
        seed: of the order of the images and of their views.
    """

    stage: str
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    label_smoothing: float
    seed: int


def fit(model: keras.Model, train: Examples, validation: Examples, plan: Plan) -> list[HistoryRow]:
    """Train a model that ends in logits; it is left with its best weights.

    The validation loss counts all images the same and is what the weights at the
    start must be beaten in, so a training never makes a model worse there.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    if plan.epochs == 0:
        return []
    batches = TrainingBatches(
        train.source, train.targets, train.weights, plan.batch_size, plan.seed
    )
    steps = len(batches)
    _compile(model, plan, steps, outputs=train.targets.shape[1])
    checks = PlainBatches(validation.source, validation.targets, _EVALUATION_BATCH)
    start = model.evaluate(checks, verbose=0, return_dict=True)
    best = KeepBest(start["loss"], plan.patience)
    recorder = Recorder(plan.stage, plan.epochs, steps)
    model.fit(
        batches,
        validation_data=checks,
        epochs=plan.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[StopOnBrokenLoss(), recorder, best],
    )
    _LOG.info("%s: kept the weights of epoch %d", plan.stage, best.epoch)
    return recorder.rows


def _compile(model: keras.Model, plan: Plan, steps: int, outputs: int) -> None:
    total = max(1, plan.epochs * steps)
    warm_up = max(1, round(total * _WARM_UP))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=plan.learning_rate, warmup_steps=warm_up
    )
    if outputs == 1:
        loss = keras.losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=plan.label_smoothing
        )
        accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    else:
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=plan.label_smoothing
        )
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(
        keras.optimizers.Adam(schedule), loss, metrics=[accuracy], jit_compile=jit_compile()
    )
