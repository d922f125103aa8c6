"""Reading the history of a training: its stages, the epoch that was kept, what it suggests."""

import itertools
from collections.abc import Sequence

from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.scoring import Scores
from linegate_training.options import Monitor


def stages(history: Sequence[HistoryRow]) -> list[list[HistoryRow]]:
    """Divide a history into its stages, in order."""
    return [list(rows) for _, rows in itertools.groupby(history, key=lambda row: row.stage)]


def best_row(history: Sequence[HistoryRow], monitor: Monitor) -> HistoryRow:
    """Return the epoch whose weights were kept: the best on validation, the first among equals.

    A head that was fitted first counts too, as the state at the start of what follows.
    """
    return max(history, key=lambda row: _scores(row).rank(monitor))


def ended_while_improving(
    history: Sequence[HistoryRow], monitor: Monitor, planned_epochs: int
) -> bool:
    """Tell whether the last epoch that was planned was the best so far."""
    last = history[-1]
    return last.epoch == planned_epochs > 1 and best_row(history, monitor) is last


def overfit(history: Sequence[HistoryRow], monitor: Monitor) -> float:
    """Return by how much the kept epoch is more accurate on the train part than on validation.

    The train part's accuracy is that of augmented pictures as they went by, so it is
    rather too low than too high.
    """
    best = best_row(history, monitor)
    return 0.0 if best.accuracy is None else best.accuracy - best.validation_accuracy


def learned_nothing(history: Sequence[HistoryRow], monitor: Monitor) -> bool:
    """Tell whether the random weights at the start were better on validation than any later."""
    return bool(history) and best_row(history, monitor).loss is None


def _scores(row: HistoryRow) -> Scores:
    return Scores(row.validation_loss, row.validation_accuracy, row.validation_auc)
