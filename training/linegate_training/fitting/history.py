"""The history of a training: one row an epoch."""

import csv
import dataclasses
import io
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class HistoryRow:
    """One epoch.

    Attributes:
        stage: ``head``, ``fine-tuning`` or ``training``.
        epoch: from 1 in each stage; 0 is the state before.
        learning_rate: at the end of the epoch; 0 where there is none.
        loss: on the train part, as the augmented images went by; None for random weights that
            have seen none.
        accuracy: likewise.
        validation_loss: after the epoch.
        validation_accuracy: after the epoch.
        validation_auc: after the epoch, of defective against good.
        seconds: how long the epoch took.
    """

    stage: str
    epoch: int
    learning_rate: float
    loss: float | None
    accuracy: float | None
    validation_loss: float
    validation_accuracy: float
    validation_auc: float
    seconds: float


def encode_history(rows: Iterable[HistoryRow]) -> bytes:
    """Write a history as CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(HistoryRow)])
    for row in rows:
        writer.writerow(
            [
                f"{value:.6g}" if isinstance(value, float) else value
                for value in dataclasses.astuple(row)
            ]
        )
    return text.getvalue().encode()
