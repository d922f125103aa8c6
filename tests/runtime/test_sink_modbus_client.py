"""The Modbus sink as a client, against controllers in processes of their own."""

import signal
import time

import pytest

from linegate_bundle.errors import OutputError
from tests.runtime.controller_support import READY, free_port, fresh, ready_line, wait_for
from tests.runtime.modbus_support import (
    ACCEPT,
    ACCEPTED,
    HEARTBEAT,
    PART,
    REJECT,
    STATE,
    VERDICT,
    controller,
    reading,
    writing,
)


def test_a_controller_that_is_away_is_an_error_of_the_delivery_and_not_of_the_start() -> None:
    port = free_port()
    with writing(port) as sink, ready_line(sink):
        with pytest.raises(
            OutputError, match=f"^the controller at 127.0.0.1:{port} cannot be reached"
        ):
            sink.deliver([fresh(1)])
        with controller(port), reading(port, 100) as reader:
            sink.deliver([fresh(1)])
            registers = reader.read()
            assert registers[2:] == [ACCEPT, 1, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]
            wait_for(lambda: reader.read()[HEARTBEAT] > registers[HEARTBEAT] + 1)


def test_a_controller_is_told_when_the_line_is_not_ready_and_when_it_ends() -> None:
    port = free_port()
    with controller(port), reading(port, 100) as reader:
        with writing(port, max_age_s=60.0) as sink:
            with ready_line(sink):
                sink.deliver([fresh(1)])
                assert reader.read()[STATE : VERDICT + 1 : 2] == [1, ACCEPT]
            wait_for(lambda: reader.read()[STATE : VERDICT + 1 : 2] == [0, REJECT], 1.5)
            sink.show(READY)
            sink.deliver([fresh(2)])
            assert reader.read()[STATE : VERDICT + 1 : 2] == [1, ACCEPT]
        assert reader.read()[STATE : VERDICT + 1 : 2] == [0, REJECT]


def test_a_controller_that_was_killed_gets_the_verdict_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    with writing(port) as sink, ready_line(sink):
        with controller(port):
            sink.deliver([fresh(1)])
        with pytest.raises(OutputError):
            sink.deliver([fresh(2)])
        wait_for(lambda: "it is tried again" in caplog.text)
        with controller(port), reading(port, 100) as reader:
            sink.deliver([fresh(2)])
            assert [reader.read()[one] for one in (PART, ACCEPTED)] == [2, 2]
            wait_for(lambda: "answers again" in caplog.text)
    assert {record.name for record in caplog.records} == {"linegate_runtime.sinks.modbus_client"}


def test_a_controller_that_hangs_is_an_error_in_time_and_is_written_when_it_goes_on() -> None:
    port = free_port()
    with (
        controller(port) as process,
        writing(port, timeout_s=0.5) as sink,
        ready_line(sink),
        reading(port, 100) as reader,
    ):
        sink.deliver([fresh(1)])
        process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(OutputError, match=r"answer within 0.5 s"):
                sink.deliver([fresh(2)])
            assert 0.3 <= time.monotonic() - began <= 1.2
        finally:
            process.send_signal(signal.SIGCONT)
        sink.deliver([fresh(2)])
        assert reader.read()[PART] == 2


def test_what_a_controller_refuses_is_said_with_its_registers() -> None:
    port = free_port()
    expected = "registers 100 to 112 written, unit 9: Modbus exception 2, illegal address"
    refused = pytest.raises(OutputError, match=expected)
    with controller(port, count=10), writing(port, unit=9) as sink, refused:
        sink.deliver([fresh(1)])


def test_a_controller_that_is_written_acknowledges_in_its_own_time() -> None:
    port = free_port()
    with (
        controller(port, delay_s=0.1),
        writing(port, handshake=True, timeout_s=1.0) as sink,
        ready_line(sink),
        reading(port, 100) as reader,
    ):
        for number in (1, 2, 70_000):
            began = time.monotonic()
            sink.deliver([fresh(number)])
            assert time.monotonic() - began >= 0.09
            assert reader.read()[11:] == [number >> 16, number & 0xFFFF] * 2


def test_a_controller_that_never_acknowledges_is_an_error() -> None:
    port = free_port()
    options = {"handshake": True, "timeout_s": 0.3}
    with controller(port), writing(port, **options) as sink, ready_line(sink):
        for _ in range(2):
            with pytest.raises(OutputError, match="did not acknowledge part counter 1"):
                sink.deliver([fresh(1)])
