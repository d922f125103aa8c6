"""The state of a training on disk, from which it goes on exactly where it was."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.atomic import atomic_file
from linegate_bundle.errors import DataError, OutputError
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.scoring import Scores

Arrays = list[npt.NDArray[Any]]
_FACTS = "facts"
_GROUPS = ("variables", "optimizer", "best")


@dataclasses.dataclass(frozen=True)
class State:
    """All that decides how a training goes on after an epoch.

    Attributes:
        epoch: how many are done.
        stopped: whether the training has ended early.
        best_epoch: after which the kept weights were; 0 is the start.
        best_scores: what they reached on the validation part.
        history: rows so far.
        variables: of the model, with the states of its random generators.
        optimizer: its variables.
        best: the kept weights.
    """

    epoch: int
    stopped: bool
    best_epoch: int
    best_scores: Scores
    history: tuple[HistoryRow, ...]
    variables: Arrays
    optimizer: Arrays
    best: Arrays


class _Facts(msgspec.Struct, frozen=True):
    epoch: int
    stopped: bool
    best_epoch: int
    best_scores: Scores
    history: tuple[HistoryRow, ...]


class Checkpoint:
    """Where the state of a training is kept.

    Args:
        path: the file, written anew after every epoch, as a whole or not at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Return whether there is a state."""
        return self._path.is_file()

    def save(self, state: State) -> None:
        """Write the state in the place of an older one.

        Raises:
            OutputError: the disk is full; the older state is as it was.
        """
        arrays: dict[str, Any] = {
            f"{group}{number}": array
            for group in _GROUPS
            for number, array in enumerate(getattr(state, group))
        }
        facts = msgspec.json.encode(
            _Facts(state.epoch, state.stopped, state.best_epoch, state.best_scores, state.history)
        )
        arrays[_FACTS] = np.frombuffer(facts, np.uint8)
        try:
            with atomic_file(self._path) as file:
                np.savez(file, **arrays)
        except OSError as error:
            megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
            raise OutputError(
                f"{self._path}: the state of the training cannot be written: "
                f"{error.strerror or error}; it takes {megabytes:.0f} MB, and twice that for a "
                "moment; mend that and give the same command again, which goes on"
            ) from error

    def load(self) -> State | None:
        """Return the state, or None if there is none yet.

        Raises:
            DataError: the file is damaged.
        """
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                facts = msgspec.json.decode(arrays[_FACTS].tobytes(), type=_Facts)
                groups = {group: _read(arrays, group) for group in _GROUPS}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError) as error:
            raise DataError(
                f"{self._path}: expected the state of an interrupted training: {error}; remove the "
                "file to start anew"
            ) from error
        return State(
            facts.epoch, facts.stopped, facts.best_epoch, facts.best_scores, facts.history, **groups
        )


def _read(arrays: Any, group: str) -> Arrays:
    count = sum(name.startswith(group) for name in arrays.files)
    return [arrays[f"{group}{number}"] for number in range(count)]
