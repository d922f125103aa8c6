"""``linegate doctor``: engines that are missing, slow or crash."""

import re
from pathlib import Path

import pytest

from linegate_bundle.manifest import Engine
from linegate_runtime.checkup.base import Outcome
from linegate_runtime.checkup.child import ChildError
from linegate_runtime.checkup.engine import check_bundle, check_tiny, judge
from linegate_runtime.checkup.engine_child import TINY, run_tiny
from linegate_runtime.config import EngineTable
from linegate_runtime.engine_names import AUTO_ENGINE
from tests.runtime.crashing_model import crashing_bundle
from tests.support import TINY_BUNDLE


def test_the_engine_itself_says_that_xnnpack_runs_the_tiny_model() -> None:
    assert run_tiny().kernel == "xnnpack"
    assert 1_000 < TINY.stat().st_size < 3_072
    finding = check_tiny()
    assert finding.outcome is Outcome.OK
    assert finding.detail.endswith("runs a tiny int8 model with XNNPACK")


def test_an_interpreter_with_its_own_kernels_is_a_warning() -> None:
    finding = judge(Engine(name="tflite-runtime", version="2.14.0", kernel="builtin"), "it")
    assert finding.outcome is Outcome.WARNING
    assert "without XNNPACK" in finding.detail


def test_an_engine_that_crashes_is_a_failure() -> None:
    def crash() -> str:
        raise ChildError("crashes natively (SIGILL)")

    finding = check_tiny(crash)
    assert finding.outcome is Outcome.FAILED
    assert "the engine crashes natively (SIGILL)" in finding.detail


def test_no_engine_is_a_failure_and_another_one_a_warning() -> None:
    assert check_tiny(packages={"numpy": "2"}).outcome is Outcome.FAILED
    other = check_tiny(packages={"onnxruntime": "1.28.0"})
    assert other.outcome is Outcome.WARNING
    assert "onnxruntime 1.28.0 is" in other.detail


@pytest.mark.parametrize(
    ("engine", "kernel"),
    [("tflite", "XNNPACK"), (AUTO_ENGINE, "XNNPACK"), ("onnx", "its kernels for the CPU")],
)
def test_a_bundle_is_run_in_the_engine_of_the_settings(engine: str, kernel: str) -> None:
    finding = check_bundle(TINY_BUNDLE, EngineTable(name=engine))
    assert finding.outcome is Outcome.OK
    assert finding.detail.endswith(f"runs tiny 1.0.0 with {kernel}")
    assert "linegate verify" in str(finding.advice)


def test_a_bundle_that_crashes_its_engine_is_a_failure(tmp_path: Path) -> None:
    finding = check_bundle(crashing_bundle(tmp_path / "bad.linegate"), EngineTable())
    assert finding.outcome is Outcome.FAILED
    # What lies at the weights' place decides whether it crashes or is refused.
    assert re.search(r"it crashes the engine tflite|ai-edge-litert refuses", finding.detail)


def test_what_is_no_bundle_is_a_failure(tmp_path: Path) -> None:
    assert check_bundle(tmp_path / "none.linegate", EngineTable()).outcome is Outcome.FAILED
    (tmp_path / "text.linegate").write_text("no bundle")
    finding = check_bundle(tmp_path / "text.linegate", EngineTable())
    assert "expected a linegate bundle" in finding.detail
