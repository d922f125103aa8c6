"""Probing a model in a child: crashes, hangs and refusals become errors; good ones are kept."""

import os
import sys
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import EngineError
from linegate_runtime import probe as module
from linegate_runtime.probe import Probes, probe
from linegate_runtime.state import recall, remember, state_folder
from linegate_runtime.verify import Outcome, verify

TRAINED = Path(__file__).parents[1] / "data" / "tiny.linegate"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/linegate"


def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the child run code in place of the interpreter's start."""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))


def test_a_model_that_ran_is_not_tried_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bundle.open(TRAINED, "0.1.0") as bundle:
        probe(bundle, "tflite", 1)
        known = recall("probes", Probes)
        assert known is not None
        assert [one.identity.bundle_sha256 for one in known.good] == [bundle.sha256]
        assert (state / "probes.json").is_file()
        monkeypatch.setattr(module, "try_in_child", lambda *_: pytest.fail("tried again"))
        probe(bundle, "tflite", 1)


def test_a_model_that_crashes_natively_is_an_error_and_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing(tmp_path, monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with (
        Bundle.open(TRAINED, "0.1.0") as bundle,
        pytest.raises(EngineError, match=r"it crashes the engine tflite \(SIGSEGV\)"),
    ):
        probe(bundle, "tflite", 1)
    assert recall("probes", Probes) is None


def test_a_model_that_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(module, "_LIMIT_S", 0.5)
    with (
        Bundle.open(TRAINED, "0.1.0") as bundle,
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


def test_verify_says_that_a_model_crashes_instead_of_crashing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing(tmp_path, monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGABRT)")
    with Bundle.open(TRAINED, "0.1.0") as bundle:
        checks = [check for check in verify(bundle) if check.subject.startswith("model.")]
    failed = [check.detail for check in checks if check.outcome is Outcome.FAILED]
    assert failed
    assert all("it crashes the engine" in detail and "SIGABRT" in detail for detail in failed)
