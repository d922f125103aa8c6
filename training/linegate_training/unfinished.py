"""An unfinished training on disk: ``RUN.unfinished`` beside the run folder to be.

It holds ``training.json``, which says what training this is, and the state after the
last epoch. The same command goes on from it; another training does not mix with it.
"""

import fcntl
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import keras

from linegate_bundle.atomic import write_atomic
from linegate_bundle.errors import ConfigError, DataError
from linegate_training.fitting.checkpoint import Checkpoint
from linegate_training.options import ExistingRun
from linegate_training.provenance import Setting

_LOG = logging.getLogger(__name__)
_IDENTITY, _STATE, _MODEL, _LOCK = "training.json", "state.npz", "model.keras", "lock"
_SHOWN = 5
_IRRELEVANT = frozenset({"out", "cache", "existing_run", "tensorboard", "data"})
"""Settings that do not change the result; the images' hash stands for the data folder."""


class Unfinished:
    """Where an unfinished training keeps its state.

    Args:
        out: the run folder to be.
    """

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.name}.unfinished")

    def begin(self, identity: Mapping[str, Setting], existing: ExistingRun) -> Checkpoint:
        """Return where the state is, with the one of the same training if there is one.

        Args:
            identity: all that decides the result.
            existing: whether the state of another training may be discarded.

        Raises:
            ConfigError: the state of another training lies there, or one is running.
            DataError: something else lies there.
            OSError: the folder cannot be written.
        """
        self._lock()
        try:
            return self._begin(identity, existing)
        except BaseException:
            self._lock_file.close()
            raise

    def _begin(self, identity: Mapping[str, Setting], existing: ExistingRun) -> Checkpoint:
        relevant = {name: value for name, value in identity.items() if name not in _IRRELEVANT}
        found = self._read()
        if found is not None and found != relevant:
            if existing is ExistingRun.REFUSE:
                raise ConfigError(
                    f"{self.path}: an unfinished training with other settings lies there: "
                    f"{_differences(found, relevant)}; finish it with its settings, discard it "
                    "with --force, or choose another --out"
                )
            _LOG.warning("discarding an unfinished training with other settings: %s", self.path)
            (self.path / _STATE).unlink(missing_ok=True)
        content = json.dumps(relevant, indent=2, sort_keys=True).encode()
        write_atomic(self.path / _IDENTITY, content)
        return Checkpoint(self.path / _STATE)

    def keep(self, model: keras.Model) -> Path:
        """Keep the weights of a training that cannot go on, in the place of its state.

        Returns:
            The model's file, which ``--weights`` takes.
        """
        path = self.path / _MODEL
        model.save(path)
        self.discard(keep=str(path))
        return path

    def tidy(self) -> None:
        """Remove the folder if there is nothing in it to go on from, and let others have it."""
        self._lock_file.close()
        if not any((self.path / name).exists() for name in (_STATE, _MODEL)):
            self.discard()

    def discard(self, *, keep: str | None = None) -> None:
        """Remove the folder.

        Args:
            keep: a file that stays if it lies there, for it was trained from.
        """
        if keep is None or Path(keep).resolve().parent != self.path.resolve():
            shutil.rmtree(self.path, ignore_errors=True)
            return
        for name in (_STATE, _IDENTITY, _LOCK):
            (self.path / name).unlink(missing_ok=True)

    def _lock(self) -> None:
        """Take the folder for this process, until it ends or the training does.

        Raises:
            ConfigError: another training has it.
        """
        self.path.mkdir(exist_ok=True)
        self._lock_file = (self.path / _LOCK).open("wb")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock_file.close()
            raise ConfigError(
                f"{self.path}: another training that writes to the same --out is running; wait for "
                "it, or choose another --out"
            ) from error

    def _read(self) -> dict[str, Setting] | None:
        path = self.path / _IDENTITY
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: expected the settings of an unfinished training: {error}; remove "
                f"{self.path}"
            ) from error
        if not isinstance(content, dict):
            raise DataError(f"{path}: expected the settings of an unfinished training; remove it")
        return content


def _differences(found: Mapping[str, Setting], wanted: Mapping[str, Setting]) -> str:
    names = sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )
    shown = [f"{name} {found.get(name)}, now {wanted.get(name)}" for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "; ".join(shown) + more
