"""Probing a model in a child: crashes, hangs and refusals become errors; good ones are kept."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import BundleError, EngineError
from linegate_runtime import probe as module
from linegate_runtime.probe import Probes, probe
from linegate_runtime.state import recall, remember, state_folder
from linegate_runtime.verify import Outcome, verify
from tests.runtime.crashing_model import crashing_bundle
from tests.support import TINY_BUNDLE


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/linegate"


def test_a_model_that_ran_is_not_tried_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bundle.open(TINY_BUNDLE, "0.1.0") as bundle:
        probe(bundle, "tflite", 1)
        known = recall("probes", Probes)
        assert known is not None
        assert [one.identity.bundle_sha256 for one in known.good] == [bundle.sha256]
        assert (state / "probes.json").is_file()
        monkeypatch.setattr(module, "try_in_child", lambda *_: pytest.fail("tried again"))
        probe(bundle, "tflite", 1)


def test_a_model_that_crashes_natively_is_an_error_and_not_remembered(tmp_path: Path) -> None:
    with (
        Bundle.open(crashing_bundle(tmp_path / "bad.linegate"), "0.1.0") as bundle,
        pytest.raises(EngineError, match=r"it crashes the engine tflite \(SIGSEGV\)"),
    ):
        probe(bundle, "tflite", 1)
    assert recall("probes", Probes) is None


def test_a_model_that_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr(module, "_LIMIT_S", 0.5)
    with (
        Bundle.open(TINY_BUNDLE, "0.1.0") as bundle,
        pytest.raises(EngineError, match=r"tflite hangs on it for 0\.5 s"),
    ):
        probe(bundle, "tflite", 1)


def test_an_engine_that_refuses_the_model_says_why(bundle_path: Path) -> None:
    # Its model is no model at all; only the fake engine runs it.
    with (
        Bundle.open(bundle_path, "0.1.0") as bundle,
        pytest.raises(EngineError, match=r"refuses model\.int8\.tflite"),
    ):
        probe(bundle, "tflite", 1)


def test_a_state_that_cannot_be_written_or_read_only_means_to_probe_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    assert remember("probes", Probes()) is None
    assert recall("probes", Probes) is None


def test_a_damaged_state_is_as_none(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "probes.json").write_text('{"good": 3}')
    assert recall("probes", Probes) is None


def test_a_service_keeps_its_state_where_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/a:{tmp_path}/b")
    assert state_folder() == tmp_path / "a"


def test_a_bundle_that_was_exchanged_meanwhile_is_not_taken_for_the_one_tried(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.linegate"
    shutil.copyfile(TINY_BUNDLE, path)
    with Bundle.open(path, "0.1.0") as bundle:
        crashing_bundle(tmp_path / "bad.linegate").replace(path)
        with pytest.raises(BundleError, match="was exchanged while it was being opened"):
            probe(bundle, "tflite", 1)


def test_verify_says_that_a_model_crashes_instead_of_crashing(tmp_path: Path) -> None:
    with Bundle.open(crashing_bundle(tmp_path / "bad.linegate"), "0.1.0") as bundle:
        checks = {check.subject: check for check in verify(bundle)}
    check = checks["model.int8.tflite"]
    assert check.outcome is Outcome.FAILED
    assert "it crashes the engine" in check.detail
    assert "SIGSEGV" in check.detail
    assert checks["model.int8.onnx"].outcome is Outcome.OK
