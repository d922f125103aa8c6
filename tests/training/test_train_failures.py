"""When a training cannot go on: it says why, and loses nothing that was there."""

import dataclasses
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError, OutputError, TrainingError
from linegate_bundle.run_folder import RunFolder
from linegate_training import run as run_module
from linegate_training import run_writer
from linegate_training.fitting.optimizer import Rates
from linegate_training.networks.registry import load_network
from linegate_training.options import (
    ExistingRun,
    TrainOptions,
)
from linegate_training.run import resolve, train
from tests.training import tiny
from tests.training.trainings import files, fine_tuning, options

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.mark.parametrize(
    ("cuts", "message"),
    [((), "loss, got nan at step 1 of training epoch 1"), (("relu1",), "weights are damaged")],
)
def test_broken_weights_stop_the_training_and_leave_no_run(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, cuts: tuple[str, ...], message: str
) -> None:
    network = dataclasses.replace(tiny.TINY, cuts=cuts)
    monkeypatch.setattr(run_module, "load_network", lambda *_: network)
    weights = photographs.parent / "weights.keras"
    model = tiny.pretrained(weights)
    model.get_layer("conv0").set_weights([np.full((3, 3, 3, 8), np.nan, np.float32)])
    model.save(weights)
    with pytest.raises(TrainingError, match=message):
        train(fine_tuning(photographs))
    assert files(photographs.parent) == {"photographs", "cache", "weights.keras"}


def test_a_loss_that_breaks_later_leaves_the_last_good_weights(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One step an epoch: the first has the rate zero, the second one beyond all bounds.
    monkeypatch.setattr(run_module, "Rates", lambda **_: Rates(highest=1e38))
    with pytest.raises(TrainingError, match=r"epoch \d+; lower .* with --weights (\S+)") as stopped:
        train(options(photographs, batch_size=4096, epochs=40))
    monkeypatch.undo()
    kept = Path(str(stopped.value).rpartition(" ")[2])
    assert files(photographs.parent) == {"photographs", "cache", "run.unfinished"}
    assert files(kept.parent) == {"model.keras"}
    assert all(np.isfinite(w).all() for w in keras.models.load_model(kept).get_weights())
    train(options(photographs, weights=str(kept), epochs=1))
    assert files(photographs.parent) == {"photographs", "cache", "run", "run.unfinished"}
    assert files(kept.parent) == {"model.keras"}  # which the new run was trained from


@pytest.mark.usefixtures("pretrained")
def test_a_loss_that_breaks_at_once_leaves_the_fitted_head(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "Rates", lambda **_: Rates(highest=1e38))
    with pytest.raises(TrainingError, match=r"of fine-tuning epoch 1; .* with --weights ") as stop:
        train(fine_tuning(photographs, batch_size=8))
    model = keras.models.load_model(str(stop.value).rpartition(" ")[2])
    assert np.any(model.get_layer("logit_map").get_weights()[0])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_two_trainings_do_not_write_to_one_run(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(*_: object, **__: object) -> None:
        with pytest.raises(ConfigError, match="another training that writes to the same --out"):
            train(options(photographs))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "fit_whole", another)
        with pytest.raises(KeyboardInterrupt):
            train(options(photographs))
    train(options(photographs))


def test_a_run_among_the_photographs_is_refused(photographs: Path) -> None:
    with pytest.raises(ConfigError, match="lies inside the photographs"):
        train(options(photographs, out=photographs / "run"))
    assert not (photographs / "run").exists()


def test_a_full_disk_says_what_to_do_and_loses_nothing(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("linegate_training.run_writer.write_report", full)
        with pytest.raises(OutputError, match="run: the run folder cannot be written: No space"):
            train(options(photographs))
    assert files(photographs.parent) == {"photographs", "cache", "run.unfinished"}
    assert train(options(photographs)).record.is_file()


def test_an_existing_run_is_refused_and_replaced_only_with_force(photographs: Path) -> None:
    given = options(photographs, epochs=1)
    train(given)
    with pytest.raises(ConfigError, match=r"exists already; .*--force"):
        train(given)
    before = given.out.stat().st_ino
    replaced = train(options(photographs, epochs=1, existing_run=ExistingRun.REPLACE))
    assert replaced.path.stat().st_ino != before
    replaced.read_record()
    assert files(photographs.parent) == {"photographs", "run", "cache"}


def test_force_never_deletes_what_is_no_run(photographs: Path) -> None:
    (photographs.parent / "run").mkdir()
    (photographs.parent / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="holds other things"):
        train(options(photographs, existing_run=ExistingRun.REPLACE))
    assert (photographs.parent / "run" / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_run_that_is_interrupted_while_it_is_written_leaves_no_half_one_and_keeps_the_old_one(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = train(options(photographs, epochs=1)).read_record()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_writer, "_record", fail)
    with pytest.raises(type(error)):
        train(options(photographs, epochs=1, existing_run=ExistingRun.REPLACE))
    assert files(photographs.parent) == {"photographs", "run", "cache", "run.unfinished"}
    assert RunFolder(photographs.parent / "run").read_record() == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "scratch"), "at least two sub-folders"),
        (lambda folder: (folder / "dent").mkdir(), "found none in dent"),
        (lambda folder: (folder / "good" / "a.png").write_bytes(b"x"), "1 of 91 images"),
    ],
)
def test_unusable_photographs_leave_no_run(
    photographs: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(photographs)
    with pytest.raises(DataError, match=message):
        train(options(photographs))
    assert not (photographs.parent / "run").exists()


def test_cut_that_is_none_of_the_network_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match="valid are: normalization, block0_project_bn, "):
        resolve(
            TrainOptions(data=Path("x"), out=Path(), fine_tune_after="block99"),
            load_network("efficientnet_lite0"),
        )


def test_fine_tuning_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs pretrained weights"):
        resolve(
            TrainOptions(data=Path("x"), out=Path(), weights="none", fine_tune_after="block7_add"),
            load_network("efficientnet_lite0"),
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Bad Name"},
        {"epochs": -1},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"label_smoothing": 1.0},
        {"variants": 0},
        {"average": -1.0},
        {"alpha": 0.0},
        {"size": (0, 5)},
        {"group_block": 2, "group_pattern": "(a)"},
        {"group_block": 2, "split": Path("split.csv")},
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"expected a|a given split"):
        TrainOptions(data=Path("x"), out=Path("y"), **changes)  # type: ignore[arg-type]
