"""Writing a run folder: as a whole, or not at all."""

import contextlib
import dataclasses
import datetime as dt
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras

from linegate_bundle.atomic import sync_folder, write_atomic
from linegate_bundle.errors import ConfigError, LinegateError, OutputError
from linegate_bundle.images import clear_colour
from linegate_bundle.manifest import Colour, Label, PreprocessSpec
from linegate_bundle.run_folder import (
    CARD_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RUN_SCHEMA_VERSION,
    SPLIT_FILE,
    Part,
    RunFolder,
    RunRecord,
    encode_split,
    sha256_file,
)
from linegate_training.data.leaks import find_leaks
from linegate_training.data.prepare import Prepared
from linegate_training.fitting.history import HistoryRow, encode_history
from linegate_training.networks.base import activation_for
from linegate_training.options import IMAGENET, NO_WEIGHTS, ExistingRun, TrainOptions
from linegate_training.provenance import configuration, versions
from linegate_training.report.leaks import NearDuplicates
from linegate_training.report.writer import write_report

_SHOWN_PAIRS = 12

_ENOUGH, _NEARLY_ALL = 20, 0.99
"""So many pictures, and such a share of them, tell what a camera's pictures have in common."""

_FILES = frozenset(
    {
        RECORD_FILE, SPLIT_FILE, MODEL_FILE, HISTORY_FILE, PREDICTIONS_FILE, REPORT_FILE,
        CARD_FILE,
    }
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished training.

    Attributes:
        model: from raw pixels to probabilities.
        spec: how images become its input.
        labels: in the order of its outputs.
        prepared: what it was trained on.
        history: one row an epoch.
    """

    model: keras.Model
    spec: PreprocessSpec
    labels: tuple[Label, ...]
    prepared: Prepared
    history: tuple[HistoryRow, ...]


def check_out(out: Path, existing: ExistingRun) -> None:
    """Check that a run folder may be written.

    Raises:
        ConfigError: it is there already and must not be replaced, or it holds other
            things than a run.
    """
    parent = out.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{out}: expected a place where a folder can be made, {parent} is none "
            f"({error.strerror}); choose another --out"
        ) from error
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"{parent}: cannot be written to; choose another --out")
    if not os.path.lexists(out):
        return
    if existing is ExistingRun.REFUSE:
        raise ConfigError(
            f"{out}: exists already; choose another --out, or replace it with --force"
        )
    if not out.is_dir() or not {path.name for path in out.iterdir()} <= _FILES:
        raise ConfigError(
            f"{out}: expected a run folder to replace, but it holds other things; choose another "
            "--out, or remove it yourself"
        )


def check_outside(out: Path, data: Path) -> None:
    """Check that a run folder would not lie among the photographs, where it were a class.

    Raises:
        ConfigError: it would.
    """
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise ConfigError(
            f"{out}: lies inside the photographs of {data}, where the next training would take it "
            "for a class; choose another --out"
        )


def write_run(result: Result, options: TrainOptions) -> RunFolder:
    """Write a run folder at ``options.out``, with its report.

    Args:
        result: what to write.
        options: with nothing left open, see :func:`linegate_training.run.resolve`.

    Raises:
        ConfigError: meanwhile somebody else has written there.
        EngineError: the model gives what is not finite.
        OutputError: the disk is full or the folder not writable.
    """
    with _new_folder(options.out, options.existing_run) as path:
        run = RunFolder(path)
        result.model.save(run.model)
        _sync_file(run.model)
        write_atomic(path / HISTORY_FILE, encode_history(result.history))
        write_atomic(run.split, encode_split(list(result.prepared.rows)))
        record = _record(run, result, options)
        write_report(
            path,
            result.model,
            result.prepared,
            result.history,
            record,
            augmentation=options.augmentation,
            near_duplicates=_near_duplicates(result.prepared),
        )
        run.write_record(record)
    return RunFolder(options.out)


def _near_duplicates(prepared: Prepared) -> NearDuplicates | None:
    """Tell which pictures that look alike the split has put into different parts."""
    if prepared.alike is None:
        return None
    pairs = [
        (one.path, other.path)
        for one, other in find_leaks(prepared.rows, prepared.alike)
        if one.sha256 != other.sha256
    ]
    return NearDuplicates(len(pairs), tuple(pairs[:_SHOWN_PAIRS]))


@contextlib.contextmanager
def _new_folder(out: Path, existing: ExistingRun) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` that takes its name when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    temporary = out.with_name(f".{out.name}.{token}.tmp")
    replaced = out.with_name(f".{out.name}.{token}.old")
    temporary.mkdir()
    try:
        yield temporary
        sync_folder(temporary)
        check_out(out, existing)
        if out.exists():
            out.rename(replaced)
        temporary.rename(out)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        if isinstance(error, OSError) and not isinstance(error, LinegateError):
            raise OutputError(
                f"{out}: the run folder cannot be written: {error.strerror or error}; nothing is "
                "lost: mend that and give the same command again, which goes on"
            ) from error
        raise
    sync_folder(out.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _record(run: RunFolder, result: Result, options: TrainOptions) -> RunRecord:
    return RunRecord(
        schema_version=RUN_SCHEMA_VERSION,
        name=str(options.name),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        network=options.network,
        weights=describe_weights(str(options.weights)),
        seed=options.seed,
        labels=result.labels,
        activation=activation_for(len(result.labels)),
        preprocess=result.spec,
        data=str(result.prepared.dataset.root),
        data_sha256=result.prepared.dataset.sha256(),
        split_sha256=sha256_file(run.split),
        model_sha256=sha256_file(run.model),
        coloured=_coloured(result),
        configuration=configuration(options),
        versions=versions(),
    )


def _coloured(result: Result) -> bool | None:
    """Say what the training's pictures have in common: colour, grey, or neither."""
    if result.spec.colour is Colour.GRAY:
        return None
    prepared = result.prepared
    places = [prepared.pixels.rows[row.sha256] for row in prepared.part(Part.TRAIN)]
    shown = [clear_colour(prepared.pixels.array[place]) for place in places]
    for colour in (True, False):
        if len(shown) >= _ENOUGH and shown.count(colour) >= _NEARLY_ALL * len(shown):
            return colour
    return None


def describe_weights(weights: str) -> str:
    """Name a file of weights by its content; its path says nothing elsewhere."""
    if weights in {IMAGENET, NO_WEIGHTS}:
        return weights
    return f"sha256:{sha256_file(Path(weights))}"


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
