"""Training under JAX: another process trains, the run exports here like any other."""

import csv
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.run_folder import RunFolder
from linegate_export.exporter import export
from linegate_export.gate import ANYTHING
from linegate_export.options import ExportOptions
from linegate_training.networks.base import build_model
from linegate_training.networks.registry import load_network
from tests.training.pictures import write_photographs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed; pip install jax"
)
load_model = importlib.import_module("keras").models.load_model
TIMEOUT_S = 150


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "linegate_runtime", "train", str(folder), "--out", str(out),
        "--cache", str(folder.parent / "cache"), "--size", "32", *more,
    ]  # fmt: skip


def under_jax() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


def trained_under_jax(folder: Path, out: Path, *more: str) -> str:
    done = subprocess.run(
        command(folder, out, *more),
        env=under_jax(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jax") / "photographs"
    return write_photographs(folder, {"good": 60, "scratch": 40})


def test_a_run_trained_under_jax_exports_like_any_other(photographs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    log = trained_under_jax(
        photographs, run, "--network", "basic_cnn", "--epochs", "10", "--average", "0.9"
    )
    assert "kept the weights of epoch" in log
    record = RunFolder(run).read_record()
    assert record.versions["jax"]
    assert record.configuration["backend"] == "jax"
    result = export(ExportOptions(run=run, out=tmp_path / "bundles", limits=ANYTHING))
    assert result.summary.test.int8_tflite.auc.value > 0.95
    assert result.summary.test.int8_onnx.auc.value > 0.95


# TensorFlow's variables are saved through an older protocol of numpy.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_fine_tuning_under_jax_starts_from_frozen_features(
    photographs: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "start.keras"
    build_model(load_network("efficientnet_lite0"), (32, 32, 3), 2).save(weights)
    run = tmp_path / "run"
    trained_under_jax(
        photographs, run, "--weights", str(weights), "--epochs", "1", "--variants", "1",
        "--fine-tune-after", "block14_add",
    )  # fmt: skip
    before, after = (load_model(path) for path in (weights, RunFolder(run).model))
    changed = {
        layer.name
        for layer in after.layers
        for one, other in zip(
            layer.get_weights(), before.get_layer(layer.name).get_weights(), strict=True
        )
        if not np.array_equal(one, other)
    }
    with (run / "history.csv").open() as file:
        assert [row["stage"] for row in csv.DictReader(file)] == ["head", "fine-tuning"]
    assert "logit_map" in changed
    assert all(name.startswith(("logit_map", "block15", "head")) for name in changed)


@pytest.mark.slow
@pytest.mark.timeout(600)  # three trainings, each in a process of its own
def test_a_training_killed_under_jax_ends_with_the_same_weights(
    photographs: Path, tmp_path: Path
) -> None:
    more = ("--network", "basic_cnn", "--epochs", "30", "--patience", "99")
    process = subprocess.Popen(
        command(photographs, tmp_path / "killed", *more), env=under_jax(), stderr=subprocess.DEVNULL
    )
    state = tmp_path / "killed.unfinished" / "state.npz"
    deadline = time.monotonic() + TIMEOUT_S
    while not state.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert "going on after epoch" in trained_under_jax(photographs, tmp_path / "killed", *more)
    trained_under_jax(photographs, tmp_path / "whole", *more)
    killed, whole = (
        load_model(RunFolder(tmp_path / name).model).get_weights() for name in ("killed", "whole")
    )
    for one, other in zip(killed, whole, strict=True):
        np.testing.assert_array_equal(one, other)
