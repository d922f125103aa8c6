"""A training that is interrupted ends as if it had not been."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.run_folder import RunFolder
from linegate_training import run as run_module
from linegate_training.augment.augmentation import Augmentation
from linegate_training.fitting.checkpoint import Checkpoint, State
from linegate_training.options import ExistingRun, TrainOptions
from linegate_training.run import train
from tests.training import tiny
from tests.training.pictures import write_photographs

pytestmark = pytest.mark.usefixtures("no_report")
EPOCHS = 12


def linegate_train(folder: Path, out: Path) -> list[str]:
    program = "import sys; from linegate_runtime.cli import main; sys.exit(main())"
    return [
        sys.executable, "-c", program, "train", str(folder), "--out", str(out), "--network",
        "basic_cnn", "--size", "16", "--epochs", str(EPOCHS), "--patience", "50", "--noise", "4",
        "--average", "0.9", "--cache", str(folder.parent / "cache"),
    ]  # fmt: skip


def weights(run: Path) -> list[np.ndarray]:
    result: list[np.ndarray] = keras.models.load_model(RunFolder(run).model).get_weights()
    return result


def epochs_saved(state: Path) -> int:
    found = Checkpoint(state).load()
    return 0 if found is None else found.epoch


@pytest.mark.timeout(600)  # four trainings, each in a process of its own
def test_a_training_killed_twice_ends_with_the_same_weights(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", {"good": 60, "scratch": 30})
    command = linegate_train(folder, tmp_path / "killed")
    unfinished = tmp_path / "killed.unfinished"
    for epochs in (2, 5):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while epochs_saved(unfinished / "state.npz") < epochs:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "killed").exists()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "going on after epoch" in done.stderr
    assert not unfinished.exists()
    subprocess.run(linegate_train(folder, tmp_path / "whole"), check=True, capture_output=True)
    for one, other in zip(weights(tmp_path / "killed"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
    history = (tmp_path / "killed" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 1 + EPOCHS


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "load_network", lambda *_: tiny.TINY)
    tiny.pretrained(tmp_path / "weights.keras")


def fine_tuning(folder: Path, **changes: object) -> TrainOptions:
    given: dict[str, object] = {
        "data": folder,
        "out": folder.parent / "run",
        "cache": folder.parent / "cache",
        "weights": str(folder.parent / "weights.keras"),
        "epochs": 6,
        "learning_rate": 1e-3,
        "average": 2.0,
        "augmentation": Augmentation(noise=3.0),
        **changes,
    }
    return TrainOptions(**given)  # type: ignore[arg-type]


def interrupt_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Checkpoint.save

    def save_and_stop(self: Checkpoint, state: State) -> None:
        save(self, state)
        if state.epoch == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)


@pytest.mark.usefixtures("pretrained")
@pytest.mark.parametrize("cut", ["relu1", "normalization"])
def test_fine_tuning_goes_on_where_it_was(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    whole = train(fine_tuning(photographs, out=photographs.parent / "whole", fine_tune_after=cut))
    with monkeypatch.context() as patched:
        interrupt_after(3, patched)
        with pytest.raises(KeyboardInterrupt):
            train(fine_tuning(photographs, fine_tune_after=cut))
    resumed = train(fine_tuning(photographs, fine_tune_after=cut))
    for one, other in zip(weights(resumed.path), weights(whole.path), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = [(run.path / "history.csv").read_text().splitlines() for run in (resumed, whole)]
    # All but the seconds at the end of a row.
    assert [row.rpartition(",")[0] for row in rows[0]] == [
        row.rpartition(",")[0] for row in rows[1]
    ]


def test_a_net_that_has_changed_under_its_name_does_not_go_on(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "load_network", lambda *_: tiny.TINY)
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            train(fine_tuning(photographs, weights="none"))
    other = dataclasses.replace(tiny.TINY, body=lambda x: keras.ops.tanh(tiny.TINY.body(x)))
    monkeypatch.setattr(run_module, "load_network", lambda *_: other)
    with pytest.raises(ConfigError, match=r"other settings .*: layers_sha256"):
        train(fine_tuning(photographs, weights="none"))


@pytest.mark.usefixtures("pretrained")
def test_a_training_with_other_settings_does_not_mix_with_an_unfinished_one(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            train(fine_tuning(photographs))
    with pytest.raises(ConfigError, match=r"other settings .*: epochs 6, now 5; .* --force"):
        train(fine_tuning(photographs, epochs=5))
    run = train(fine_tuning(photographs, epochs=5, existing_run=ExistingRun.REPLACE))
    assert len((run.path / "history.csv").read_text().splitlines()) <= 1 + 1 + 5
    assert not (photographs.parent / "run.unfinished").exists()


@pytest.mark.usefixtures("pretrained")
def test_a_damaged_state_is_refused(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            train(fine_tuning(photographs))
    state = photographs.parent / "run.unfinished" / "state.npz"
    state.write_bytes(state.read_bytes()[:-500])
    with pytest.raises(DataError, match="remove the file to start anew"):
        train(fine_tuning(photographs))
