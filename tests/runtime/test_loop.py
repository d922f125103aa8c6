"""The loop's corners, and what it shows to people."""

import io
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.manifest import Verdict
from linegate_runtime.capture import Capture
from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.exchange import Exchange
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.loop import Desk, Limits, Line, Station
from linegate_runtime.model import Model
from linegate_runtime.outputs import LineOutputs
from linegate_runtime.part_row import PartRow
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.reason import Reason
from linegate_runtime.record import Record
from linegate_runtime.recorder import Commit, Recorder
from linegate_runtime.service_manager import ServiceManager
from linegate_runtime.sinks.fake import FakeGate
from linegate_runtime.status import ClearFirst, Status
from linegate_runtime.tally import Tally, quantile
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import fake_camera

CONFIG = '[camera]\naddress = "fake"\n[[sink]]\nkind = "fake"\n[[sink]]\nkind = "fake-gate"\n'


class FakeLine:
    """A line before a fake camera; ``rows`` is its record in the end."""

    def __init__(self, bundle_path: Path, folder: Path) -> None:
        self._bundle_path = bundle_path
        self._record = folder / "record.sqlite"
        (folder / "line.toml").write_text(CONFIG)
        self._config = load_config(folder / "line.toml", Overrides())
        self.outputs = LineOutputs(self._config)
        self.tally = Tally()
        self.rows: list[PartRow] = []

    @property
    def gate(self) -> FakeGate:
        (gate,) = self.outputs._gates
        assert isinstance(gate, FakeGate)
        return gate

    def note(self, commit: Commit) -> None:
        for part in commit.parts:
            self.tally.count(part.row, commit.monotonic_ns)
        self.outputs.note_commit(commit)

    def run(
        self,
        limits: Limits,
        script: tuple[int, ...],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        with (
            Capture(fake_camera()) as capture,
            Bundle.open(self._bundle_path, "0.1.0") as bundle,
            Model.open(bundle, "fake") as model,
        ):
            recorder = Recorder(Record(self._record), on_commit=self.note)
            self.outputs.open(self._record, recorder)
            policy = line_policy(bundle.manifest, VerdictOptions())
            judge = Judge(model, policy, Stamp.of("a run", bundle, policy.origin))
            regions = [Region("", FakeTrigger(FakeOptions(script=script)))]
            inspector = Inspector(judge, regions, clock=time.monotonic_ns)
            line = Line(
                stations=[Station(capture, inspector)],
                judge=judge,
                exchange=Exchange(lambda: pytest.fail("nobody asked"), lambda: False),
                desk=Desk(recorder, self.outputs, None, self.tally),
                status=Status(io.StringIO()),
                manager=ServiceManager(),
                is_stopped=is_stopped,
            )
            line.run(limits)
            recorder.flush()
            gate = self.gate
            self.outputs.close()
            self.outputs._gates = [gate]
            recorder.close()
        with Record(self._record) as record:
            self.rows = [one.row for one in record.rows()]


@pytest.fixture
def line(tmp_path: Path, bundle_path: Path) -> Iterator[FakeLine]:
    fake = FakeLine(bundle_path, tmp_path)
    yield fake
    fake.outputs.close()


def test_time_ends_a_run_and_the_tally_counts(line: FakeLine) -> None:
    line.run(Limits(seconds=1.5), (1, 1, 1, 0, 2, 0))
    assert line.tally.parts == 2
    assert [row.frames_voted for row in line.rows] == [3, 1]
    assert len(line.tally.latencies_ms) == 2
    assert sum(line.tally.durations["model"].counts) == 2


def test_a_gate_hears_of_every_verdict_and_of_acceptances_once_they_are_on_record(
    line: FakeLine,
) -> None:
    line.run(Limits(parts=3), (1, 1, 1, 2, 2, 2, 3, 3, 3))
    accepted = [row.uuid for row in line.rows if row.verdict is Verdict.ACCEPT]
    assert accepted == line.gate.accepted
    assert line.gate.expected == {row.uuid: row.verdict is Verdict.ACCEPT for row in line.rows}
    assert len(line.rows) == 3
    assert line.gate.beats > 3
    assert line.gate.reasons == ()


def test_while_a_gate_is_broken_nothing_is_accepted_and_rows_say_why(line: FakeLine) -> None:
    line.gate.problem = "the gate is broken"
    line.run(Limits(parts=3), (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3))
    assert line.gate.reasons == ("the gate is broken",)
    assert line.gate.accepted == []
    assert {row.verdict for row in line.rows} == {Verdict.REJECT}
    assert Reason.OVERRIDE in {row.reason for row in line.rows}


def test_the_tally_says_what_people_want_to_know() -> None:
    tally = Tally()
    assert tally.summary() == "0 parts: 0 accept, 0 reject, 0 unsure"
    assert quantile(tally.latencies_ms, 0.99) is None
    for latency_ms in range(1, 101):
        tally.verdicts[Verdict.ACCEPT] += 1
        tally.latencies_ms.append(float(latency_ms))
    tally.unseen = 1
    assert quantile(tally.latencies_ms, 0.99) == 100
    assert tally.summary() == (
        "100 parts: 100 accept, 0 reject, 0 unsure; 1 passed without being wholly in view; "
        "capture to record: median 51.0 ms, p99 100.0 ms"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_living_line_that_makes_room_for_the_log() -> None:
    terminal = Terminal()
    status = Status(terminal)
    status.show("first")
    status.show("second")
    assert terminal.getvalue() == "\r\x1b[Kfirst\r\x1b[Ksecond"
    ClearFirst(status).emit(logging.makeLogRecord({}))
    status.clear()
    assert terminal.getvalue() == "\r\x1b[Kfirst\r\x1b[Ksecond\r\x1b[K"


def test_elsewhere_the_status_is_a_log_line_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = io.StringIO()
    status = Status(stream)
    assert not status.is_due
    with caplog.at_level(logging.INFO):
        status.show("30 frames/s")
    assert caplog.messages == ["30 frames/s"]
    assert stream.getvalue() == ""
