"""What happens at the end of steps and epochs."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from linegate_bundle.errors import TrainingError
from linegate_training.fitting.checkpoint import Arrays, Checkpoint, State
from linegate_training.fitting.examples import Examples
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.scoring import Scores, predict_logits, score
from linegate_training.options import Monitor

_LOG = logging.getLogger(__name__)

Logs = dict[str, Any] | None

_STEPS_UNSEEN = 16
"""So many steps may follow a broken one before it is noticed; the best weights are kept anyway."""


class BrokenLossError(TrainingError):
    """The loss is no longer finite; the model has its best weights until then.

    Attributes:
        epochs: how many were finished before.
    """

    def __init__(self, message: str, epochs: int) -> None:
        super().__init__(message)
        self.epochs = epochs


class StopOnBrokenLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises when the loss is not a number or infinite, with the step at which it broke.

    It looks at the losses every few steps, for looking makes a GPU wait.

    Args:
        stage: of the training, for the message.
    """

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._stage = stage
        self._epoch = 0
        self._unseen: dict[int, Any] = {}

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Keep the loss, and look at those kept from time to time.

        Raises:
            BrokenLossError: one is not finite.
        """
        self._unseen[batch] = (logs or {})["loss"]
        if len(self._unseen) >= _STEPS_UNSEEN:
            self._look()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Look at the last losses.

        Raises:
            BrokenLossError: one is not finite.
        """
        self._look()

    def _look(self) -> None:
        # Keras gives the mean since the epoch's start; a broken value never leaves it.
        for batch, value in self._unseen.items():
            loss = float(value)
            if not math.isfinite(loss):
                raise BrokenLossError(
                    f"expected a finite loss, got {loss} at step {batch + 1} of {self._stage} "
                    f"epoch {self._epoch + 1}; lower --learning-rate",
                    epochs=self._epoch,
                )
        self._unseen.clear()


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows a bar of steps in a terminal.

    Args:
        stage: what is going on.
        steps: steps an epoch.
    """

    def __init__(self, stage: str, steps: int) -> None:
        super().__init__()
        self._stage = stage
        self._steps = steps
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Show an empty bar."""
        title = f"{self._stage} epoch {epoch + 1}"
        self._bar = tqdm(total=self._steps, desc=title, unit=" steps", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Move the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Take the bar away."""
        self._bar.close()


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates, keeps the best weights, records the epoch and saves the state.

    With a moving average of the weights, it is the average that is validated and kept;
    the training goes on with the weights themselves.

    Args:
        stage: name in the history.
        epochs: most epochs.
        validation: what is validated on.
        monitor: which score decides.
        patience: epochs without a better score before the training stops.
        checkpoint: where the state is saved; None saves none.
        history: rows of the stages before.
    """

    def __init__(
        self,
        stage: str,
        *,
        epochs: int,
        validation: Examples,
        monitor: Monitor,
        patience: int,
        checkpoint: Checkpoint | None,
        history: Sequence[HistoryRow] = (),
    ) -> None:
        super().__init__()
        self.rows = list(history)
        self.best_epoch = 0
        self._stage = stage
        self._epochs = epochs
        self._validation = validation
        self._monitor = monitor
        self._patience = patience
        self._checkpoint = checkpoint
        self._best: Arrays = []
        self._best_scores: Scores
        self._start = 0.0

    def begin(self, model: keras.Model) -> None:
        """Take the weights at the start for the best, as an epoch 0.

        It gets a row if no stage before has left one.
        """
        self._best = model.get_weights()
        self._best_scores = self._validate(model)
        if not self.rows:
            self.rows.append(untrained_row(self._stage, self._best_scores))

    def resume(self, state: State) -> None:
        """Go on from a state; model and optimizer must have it already."""
        self.rows = list(state.history)
        self.best_epoch, self._best_scores = state.best_epoch, state.best_scores
        self._best = state.best

    def restore_best(self, model: keras.Model) -> None:
        """Bring the best weights back."""
        model.set_weights(self._best)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Do all that the class says; adds the scores to ``logs`` for those that come after."""
        logs = {} if logs is None else logs
        raw = self._take_average()
        scores = self._validate(self.model)
        if scores.rank(self._monitor) > self._best_scores.rank(self._monitor):
            self.best_epoch, self._best_scores = epoch + 1, scores
            self._best = self.model.get_weights()
        if raw is not None:
            self.model.set_weights(raw)
        stopped = epoch + 1 - self.best_epoch >= self._patience
        self.model.stop_training = stopped
        logs |= {"val_loss": scores.loss, "val_accuracy": scores.accuracy, "val_auc": scores.auc}
        self._record(epoch + 1, logs, scores)
        self._save(epoch + 1, stopped=stopped)

    def _take_average(self) -> Arrays | None:
        """Put the average in the place of the weights, and return these."""
        if not self.model.optimizer.use_ema:
            return None
        raw: Arrays = self.model.get_weights()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        # Under JAX weights and averages would now be the same memory, which a step gives away.
        self.model.set_weights([np.array(weight) for weight in self.model.get_weights()])
        return raw

    def _validate(self, model: keras.Model) -> Scores:
        truth = self._validation.truth
        logits = predict_logits(model, self._validation.source)
        return score(logits, truth.targets, truth.labels, truth.defects)

    def _record(self, epoch: int, logs: dict[str, Any], scores: Scores) -> None:
        row = HistoryRow(
            stage=self._stage,
            epoch=epoch,
            learning_rate=float(self.model.optimizer.learning_rate),
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            validation_loss=scores.loss,
            validation_accuracy=scores.accuracy,
            validation_auc=scores.auc,
            seconds=time.monotonic() - self._start,
        )
        self.rows.append(row)
        log_row(row, self._epochs)

    def _save(self, epoch: int, *, stopped: bool) -> None:
        if self._checkpoint is None:
            return
        self._checkpoint.save(
            State(
                epoch=epoch,
                stopped=stopped,
                best_epoch=self.best_epoch,
                best_scores=self._best_scores,
                history=tuple(self.rows),
                variables=[variable.numpy() for variable in self.model.variables],
                optimizer=[variable.numpy() for variable in self.model.optimizer.variables],
                best=self._best,
            )
        )


def untrained_row(stage: str, scores: Scores) -> HistoryRow:
    """Return the row of weights that no step has changed yet; nothing is known of train."""
    return HistoryRow(
        stage=stage,
        epoch=0,
        learning_rate=0.0,
        loss=None,
        accuracy=None,
        validation_loss=scores.loss,
        validation_accuracy=scores.accuracy,
        validation_auc=scores.auc,
        seconds=0.0,
    )


def log_row(row: HistoryRow, epochs: int) -> None:
    """Log one epoch as one line, in columns."""
    _LOG.info(
        "%s %*d/%d  train loss %.3f accuracy %5.1f %%  validation loss %.3f accuracy %5.1f %% "
        "AUC %.3f  %5.1f s",
        row.stage,
        len(str(epochs)),
        row.epoch,
        epochs,
        row.loss or 0.0,
        100 * (row.accuracy or 0.0),
        row.validation_loss,
        100 * row.validation_accuracy,
        row.validation_auc,
        row.seconds,
    )
