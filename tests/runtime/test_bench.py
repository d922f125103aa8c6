"""``linegate bench``: what it measures, proposes and remembers."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import EngineError
from linegate_runtime import identity
from linegate_runtime.bench import (
    BenchOptions,
    Candidate,
    Stages,
    measure,
    propose,
    recall_proposal,
    remember_proposal,
)
from linegate_runtime.cli import main
from linegate_runtime.geometry import Size
from linegate_runtime.record import Access, Record

TRAINED = Path(__file__).parents[1] / "data" / "tiny.linegate"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/linegate"


def candidate(whole: float, threads: int = 1, engine: str = "tflite") -> Candidate:
    stages = Stages(preprocess=0, invoke=whole, decide=0, whole=whole, p99=whole)
    return Candidate(engine=engine, threads=threads, stages=stages)


def test_every_installed_engine_is_timed_by_stage_and_thread_count() -> None:
    shown: list[str] = []
    options = BenchOptions(size=Size(64, 48), seconds=0.1, sustained_s=0.3, threads=(1, 2))
    with Bundle.open(TRAINED, "0.1.0") as bundle:
        measured = measure(bundle, options, shown.append)
    assert [(one.engine, one.threads) for one in measured.candidates] == [
        ("onnx", 1),
        ("onnx", 2),
        ("tflite", 1),
        ("tflite", 2),
    ]
    for one in measured.candidates:
        assert one.stages is not None
        assert one.runs_on is not None
        parts = one.stages.preprocess + one.stages.invoke + one.stages.decide
        assert 0 < one.stages.invoke < parts
        assert one.stages.whole <= one.stages.p99
    assert measured.proposal in measured.candidates
    assert measured.sustained is not None
    assert measured.sustained.seconds >= 0.3
    assert measured.sustained.slowest <= measured.sustained.fastest
    assert any("without a pause" in text for text in shown)


def test_an_engine_that_fails_is_told_and_the_others_are_timed(tmp_path: Path) -> None:
    options = BenchOptions(engines=("fake", "tflite"), threads=(1,), seconds=0.05, sustained_s=0)
    from tests.support import tiny_bundle

    with Bundle.open(tiny_bundle(tmp_path / "t.linegate"), "0.1.0") as bundle:
        measured = measure(bundle, options)
    assert measured.proposal.engine == "fake"
    failed = measured.candidates[-1]
    assert failed.engine == "tflite"
    assert "refuses" in str(failed.error)


def test_a_bundle_that_no_engine_runs_is_an_error(bundle_path: Path) -> None:
    with Bundle.open(bundle_path, "0.1.0") as bundle, pytest.raises(EngineError, match="refuses"):
        measure(bundle, BenchOptions(seconds=0.05, sustained_s=0))


def test_more_threads_must_be_worth_it() -> None:
    one, two, four = candidate(10, 1), candidate(9.9, 2), candidate(9.8, 4)
    assert propose([four, two, one]) == one
    assert propose([candidate(10, 1), candidate(6, 2)]).threads == 2


@given(st.lists(st.tuples(st.floats(0.01, 1000), st.integers(1, 8)), min_size=1))
def test_the_proposal_is_never_much_slower_than_the_fastest(
    times: list[tuple[float, int]],
) -> None:
    candidates = [candidate(whole, threads) for whole, threads in times]
    chosen = propose(candidates).stages
    assert chosen is not None
    assert chosen.whole <= min(whole for whole, _ in times) / 0.97 + 1e-9


def test_a_proposal_holds_until_bundle_versions_or_processor_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BenchOptions(engines=("tflite",), threads=(2,), seconds=0.05, sustained_s=0)
    with Bundle.open(TRAINED, "0.1.0") as bundle:
        assert recall_proposal(bundle) is None
        remember_proposal(measure(bundle, options))
        assert recall_proposal(bundle) == ("tflite", 2)
        monkeypatch.setattr(identity, "_versions", lambda: {"ai-edge-litert": "9.9"})
        assert recall_proposal(bundle) is None
        monkeypatch.undo()
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setattr(identity, "_processor", lambda: "another")
        assert recall_proposal(bundle) is None


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", str(TRAINED), "--threads", "1", "--seconds", "0", "--size", "64x48"]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "tiny 1.0.0 on" in table
    assert "proposal: --engine" in table
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frame"] == [64, 48]
    assert {one["engine"] for one in document["candidates"]} == {"onnx", "tflite"}


def test_auto_measures_once_and_then_takes_what_was_proposed(
    tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in (1, 2):
        record = tmp_path / f"{number}.sqlite"
        arguments = ["run", str(TRAINED), "--camera", "64x48@100", "--source", "fake"]
        arguments += ["--trigger", "continuous", "--engine", "auto", "--parts", "2"]
        assert main([*arguments, "--record", str(record)]) == 0
        with Record(record, Access.READ) as opened:
            assert len(list(opened.rows())) == 2
    assert caplog.text.count("timing engines and threads") == 1
    (proposal,) = (json.loads(path.read_text()) for path in state.glob("bench-*.json"))
    assert proposal["engine"] in {"tflite", "onnx"}
