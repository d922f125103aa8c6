"""What happens at the end of steps and epochs."""

import logging
import math
import time
from typing import Any

import keras
from tqdm import tqdm

from linegate_bundle.errors import TrainingError
from linegate_training.fitting.history import HistoryRow

_LOG = logging.getLogger(__name__)

Logs = dict[str, Any] | None


class StopOnBrokenLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises at the first step whose loss is not a number or infinite."""

    _epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the loss.

        Raises:
            TrainingError: it is not finite.
        """
        # Keras gives the mean since the epoch's start; a broken value never leaves it.
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"expected a finite loss, got {loss} at step {batch + 1} of epoch "
                f"{self._epoch + 1}; lower --learning-rate"
            )


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the lowest validation loss and stops when it stays away.

    Args:
        loss: validation loss of the weights at the start, which count as an epoch 0.
        patience: epochs without a lower loss before the training stops.
    """

    def __init__(self, loss: float, patience: int) -> None:
        super().__init__()
        self.epoch = 0
        self._loss = loss
        self._patience = patience
        self._weights: list[Any] = []

    def on_train_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Keep the weights at the start."""
        self._weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep better weights, or stop."""
        loss = float((logs or {})["val_loss"])
        if loss < self._loss:
            self.epoch, self._loss, self._weights = epoch + 1, loss, self.model.get_weights()
        elif epoch + 1 - self.epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Bring the best weights back."""
        self.model.set_weights(self._weights)


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows a bar of steps in a terminal, logs one line an epoch and collects the history.

    Args:
        stage: name for the history.
        epochs: most epochs.
        steps: steps an epoch.
    """

    def __init__(self, stage: str, epochs: int, steps: int) -> None:
        super().__init__()
        self.rows: list[HistoryRow] = []
        self._stage = stage
        self._epochs = epochs
        self._steps = steps
        self._start = 0.0
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Start clock and bar."""
        self._start = time.monotonic()
        title = f"{self._stage} epoch {epoch + 1}"
        self._bar = tqdm(total=self._steps, desc=title, unit=" steps", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Move the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Log and keep the epoch."""
        self._bar.close()
        logs = logs or {}
        row = HistoryRow(
            stage=self._stage,
            epoch=epoch + 1,
            learning_rate=float(self.model.optimizer.learning_rate),
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            validation_loss=float(logs["val_loss"]),
            validation_accuracy=float(logs["val_accuracy"]),
            seconds=time.monotonic() - self._start,
        )
        self.rows.append(row)
        log_row(row, self._epochs)


def log_row(row: HistoryRow, epochs: int) -> None:
    """Log one epoch as one line, in columns."""
    _LOG.info(
        "%s %*d/%d  train loss %.3f accuracy %5.1f %%  validation loss %.3f accuracy %5.1f %%"
        "  %5.1f s",
        row.stage,
        len(str(epochs)),
        row.epoch,
        epochs,
        row.loss,
        100 * row.accuracy,
        row.validation_loss,
        100 * row.validation_accuracy,
        row.seconds,
    )
