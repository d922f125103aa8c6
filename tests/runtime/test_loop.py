"""The loop's corners, and what it shows to people."""

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.capture import Capture
from linegate_runtime.exchange import Exchange
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.loop import Limits, Line, Station
from linegate_runtime.model import Model
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.record import Access, PartRow, Record
from linegate_runtime.sinks.fake import FakeSink, FakeSinkOptions
from linegate_runtime.status import ClearFirst, Status
from linegate_runtime.tally import Tally, quantile
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import fake_camera


def run_line(
    bundle_path: Path,
    folder: Path,
    sink: FakeSink,
    limits: Limits,
    script: tuple[int, ...],
    is_stopped: Callable[[], bool] = lambda: False,
) -> Tally:
    with (
        Capture(fake_camera()) as capture,
        Bundle.open(bundle_path, "0.1.0") as bundle,
        Model.open(bundle, "fake") as model,
        Record(folder / "record.sqlite") as record,
    ):
        policy = line_policy(bundle.manifest, VerdictOptions())
        judge = Judge(model, policy, Stamp.of("a run", bundle, policy.origin))
        regions = [Region("", FakeTrigger(FakeOptions(script=script)))]
        inspector = Inspector(judge, regions, clock=time.monotonic_ns)
        line = Line(
            stations=[Station(capture, inspector)],
            judge=judge,
            exchange=Exchange(lambda: pytest.fail("nobody asked"), lambda: False),
            record=record,
            sinks=[sink],
            status=Status(io.StringIO()),
            is_stopped=is_stopped,
        )
        return line.run(limits)


def test_a_row_is_on_record_before_a_sink_hears_of_it(tmp_path: Path, bundle_path: Path) -> None:
    sink = FakeSink(FakeSinkOptions(fail_at=2))
    with pytest.raises(OutputError, match="fails at part 2"):
        run_line(bundle_path, tmp_path, sink, Limits(), (1, 1, 1, 2, 2, 2))
    with Record(tmp_path / "record.sqlite") as record:
        assert [row.part for row in record.rows()] == [1, 2]
    assert [row.part for row in sink.rows] == [1]


def test_time_ends_a_run_and_the_tally_counts(tmp_path: Path, bundle_path: Path) -> None:
    sink = FakeSink(FakeSinkOptions())
    tally = run_line(bundle_path, tmp_path, sink, Limits(seconds=1.5), (1, 1, 1, 0, 2, 0))
    assert tally.parts == 2
    assert [row.frames_voted for row in sink.rows] == [3, 1]
    assert len(tally.latencies_ms) == 2


def test_the_latency_of_the_last_part_is_written_while_the_line_is_idle(
    tmp_path: Path, bundle_path: Path
) -> None:
    latencies: list[float | None] = []
    noted: list[float] = []

    class Watch(FakeSink):
        def announce(self, row: PartRow) -> None:
            super().announce(row)
            latencies.append(row.latency_ms)

    def is_idle_long_enough() -> bool:
        if not latencies:
            return False
        with Record(tmp_path / "record.sqlite", Access.READ) as record:
            noted.extend(row.latency_ms for row in record.rows() if row.latency_ms is not None)
        return bool(noted)

    sink = Watch(FakeSinkOptions())
    run_line(bundle_path, tmp_path, sink, Limits(seconds=20), (1, 1, 1), is_idle_long_enough)
    assert noted == latencies


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
