"""The Modbus sink as a server, against real clients; its options; and how it closes."""

import itertools
import socket
import sys
import threading
import time
from typing import Any

import pytest

from linegate_bundle.errors import ConfigError, OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.reason import Reason
from linegate_runtime.sinks.modbus import ModbusOptions, ModbusSink
from tests.runtime.controller_support import (
    NOT_READY,
    READY,
    free_port,
    fresh,
    open_files,
    ready_line,
    wait_for,
)
from tests.runtime.modbus_support import (
    ACCEPT,
    ACCEPTED,
    ACKNOWLEDGE,
    HEARTBEAT,
    LABEL,
    PART,
    REASON,
    REJECT,
    REJECTED,
    STATE,
    UNSURE,
    VERDICT,
    WITHHELD,
    controller,
    reading,
    serving,
    writing,
)


def test_wrong_options_are_named() -> None:
    assert ModbusOptions().problems() == {"listen": "expected listen or address, got neither"}
    both = ModbusOptions(listen="127.0.0.1:502", address="10.0.0.1:502")
    assert list(both.problems()) == ["address"]
    for wrong in ("", "502", "host:", ":502", "host:0", "host:65536", "user:pass@h:x", "::1:502"):
        problems = ModbusOptions(address=wrong).problems()
        assert problems["address"].startswith("expected HOST:PORT")
        assert "pass" not in problems["address"]
    assert not ModbusOptions(listen="[::1]:502").problems()
    with pytest.raises(ConfigError, match="expected listen or address"):
        ModbusSink(ModbusOptions())


def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"cannot listen on {address}.*in use"):
            ModbusSink(ModbusOptions(listen=address))


def test_a_missing_pymodbus_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    with pytest.raises(ConfigError, match=r"pip install 'linegate-runtime\[modbus\]'"):
        ModbusSink(ModbusOptions(listen="127.0.0.1:1"))


def test_before_the_first_verdict_nothing_can_be_accepted() -> None:
    with serving() as (sink, port), reading(port) as reader:
        assert reader.read() == [0, 0, REJECT] + [0] * 12
        with ready_line(sink):
            assert reader.read()[:4:2] == [1, 0]


def test_a_verdict_stands_in_the_registers_of_the_table() -> None:
    with serving() as (sink, port), reading(port) as reader, ready_line(sink):
        sink.deliver([fresh(70_000, reason=Reason.FEW, label="bright")])
        registers = reader.read()
    assert registers[2:] == [ACCEPT, 2, 2, 0, 1, 0, 0, 0, 0, 1, 4464, 0, 0]
    assert registers[STATE] == 1


def test_a_part_that_no_frame_showed_has_no_label() -> None:
    with serving() as (sink, port), reading(port) as reader, ready_line(sink):
        nothing: dict[str, Any] = {"label": None, "probabilities": {}, "defect_probability": None}
        sink.deliver([fresh(1, verdict=Verdict.REJECT, reason=Reason.UNSEEN, **nothing)])
        assert reader.read()[2:5] == [REJECT, 4, 0]


def test_the_heartbeat_stops_and_the_verdict_is_a_reject_when_the_line_is_silent() -> None:
    with serving(max_age_s=60.0) as (sink, port), reading(port) as reader:
        with ready_line(sink):
            sink.deliver([fresh(1)])
            first = reader.read()
            time.sleep(0.55)
            second = reader.read()
        assert 3 <= second[HEARTBEAT] - first[HEARTBEAT] <= 6
        assert second[VERDICT] == ACCEPT
        last_told = time.monotonic()
        wait_for(lambda: reader.read()[STATE] == 0)
        assert 0.1 <= time.monotonic() - last_told <= 0.6
        silent = reader.read()
        assert silent[VERDICT : REASON + 1] == [REJECT, WITHHELD]
        time.sleep(0.25)
        assert reader.read()[HEARTBEAT] == silent[HEARTBEAT]


def test_a_verdict_that_was_withheld_does_not_come_back() -> None:
    with serving(max_age_s=60.0) as (sink, port), reading(port) as reader:
        sink.show(READY)
        sink.deliver([fresh(1)])
        assert reader.read()[VERDICT] == ACCEPT
        sink.show(NOT_READY)
        assert reader.read()[STATE : VERDICT + 1 : 2] == [0, REJECT]
        sink.show(READY)
        assert reader.read()[STATE : VERDICT + 1 : 2] == [1, REJECT]
        sink.deliver([fresh(1)])
        assert reader.read()[VERDICT] == REJECT
        sink.deliver([fresh(2)])
        assert reader.read()[VERDICT] == ACCEPT


def test_old_verdicts_and_those_of_another_start_of_the_machine_are_rejects() -> None:
    with serving(max_age_s=0.3) as (sink, port), reading(port) as reader, ready_line(sink):
        now_ns = time.monotonic_ns()
        sink.deliver([fresh(1, monotonic_ns=now_ns - 1_000_000_000)])
        assert reader.read()[VERDICT : REASON + 1] == [REJECT, WITHHELD]
        sink.deliver([fresh(2, boot_id="22222222-2222-4222-8222-222222222222")])
        assert reader.read()[VERDICT] == REJECT
        sink.deliver([fresh(3, monotonic_ns=now_ns + 60_000_000_000)])
        assert reader.read()[VERDICT] == REJECT
        sink.deliver([fresh(4)])
        assert reader.read()[VERDICT] == ACCEPT
        wait_for(lambda: reader.read()[VERDICT] == REJECT, 1.5)
        assert reader.read()[ACCEPTED] == 4


def test_of_several_that_wait_only_the_newest_is_presented_and_each_is_counted_once() -> None:
    with serving() as (sink, port), reading(port) as reader, ready_line(sink):
        waiting = [fresh(1), fresh(2, verdict=Verdict.UNSURE), fresh(3, verdict=Verdict.REJECT)]
        for _ in range(2):
            sink.deliver(waiting)
        registers = reader.read()
        assert [registers[one] for one in (ACCEPTED, REJECTED, UNSURE, PART)] == [1, 1, 1, 3]
        assert registers[VERDICT] == REJECT


def test_registers_that_are_read_together_belong_together() -> None:
    verdicts = [Verdict.ACCEPT, Verdict.REJECT, Verdict.UNSURE]
    with serving() as (sink, port), reading(port) as reader, ready_line(sink):
        is_over = threading.Event()

        def work() -> None:
            for number in itertools.count(1):
                if is_over.is_set():
                    return
                label = "bright" if number % 2 else "functional"
                sink.deliver([fresh(number, verdict=verdicts[number % 3], label=label)])

        thread = threading.Thread(target=work)
        thread.start()
        seen = set()
        try:
            for _ in range(500):
                registers = reader.read()
                part = (registers[PART - 1] << 16) + registers[PART]
                if part:
                    seen.add(part)
                    assert registers[VERDICT] == part % 3 + 1
                    assert registers[LABEL] == part % 2 + 1
                    assert part == registers[ACCEPTED] + registers[REJECTED] + registers[UNSURE]
        finally:
            is_over.set()
            thread.join()
    assert len(seen) > 50


def test_a_slow_controller_gets_each_verdict_once_and_in_order() -> None:
    taken: list[int] = []
    with serving(handshake=True) as (sink, port), reading(port) as reader, ready_line(sink):
        assert sink.batch == 1

        def program() -> None:
            while len(taken) < 5:
                registers = reader.read()
                if registers[PART] not in {0, *taken[-1:]}:
                    time.sleep(0.05)
                    assert reader.read()[PART] == registers[PART]
                    taken.append(registers[PART])
                    reader.acknowledge(registers[PART])

        thread = threading.Thread(target=program)
        thread.start()
        began = time.monotonic()
        for number in range(1, 6):
            sink.deliver([fresh(number)])
        thread.join()
    assert taken == [1, 2, 3, 4, 5]
    assert time.monotonic() - began > 0.25


def test_without_acknowledgement_the_same_verdict_stays_until_it_comes() -> None:
    options = {"handshake": True, "timeout_s": 0.2}
    with serving(**options) as (sink, port), reading(port) as reader, ready_line(sink):
        part = fresh(7)
        for _ in range(2):
            with pytest.raises(OutputError, match=r"did not acknowledge part counter 7 within 0.2"):
                sink.deliver([part])
            assert [reader.read()[one] for one in (PART, ACCEPTED)] == [7, 1]
        reader.acknowledge(6)
        with pytest.raises(OutputError):
            sink.deliver([part])
        reader.acknowledge(7)
        sink.deliver([part])
        with pytest.raises(OutputError):
            sink.deliver([part, fresh(8)])
        assert [reader.read()[one] for one in (PART, ACCEPTED)] == [8, 2]


def test_a_controller_may_write_the_acknowledgement_and_nothing_else() -> None:
    options = {"first_register": 500, "unit": 3}
    with serving(**options) as (sink, port), ready_line(sink), reading(port) as reader:
        client = reader.client
        sink.deliver([fresh(1, verdict=Verdict.REJECT)])
        for first, words in ((502, [1]), (512, [0, 1]), (515, [1])):
            assert client.write_registers(first, words, device_id=3).exception_code == 2
        assert not client.write_registers(513, [0, 1], device_id=3).isError()
        assert not client.write_register(514, 9, device_id=3).isError()
        assert client.read_coils(500, count=1, device_id=3).exception_code == 1
        assert client.read_holding_registers(0, count=15, device_id=3).exception_code == 2
        assert client.read_holding_registers(500, count=15, device_id=1).exception_code == 11
        registers = client.read_holding_registers(500, count=15, device_id=3).registers
    assert registers[VERDICT] == REJECT
    assert registers[ACKNOWLEDGE] == 9


def test_what_is_no_modbus_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as (_, port), reading(port) as reader:
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\0\1\0\0\0\2\1\x03", b"\xff" * 600):
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                client.sendall(garbage)
        assert reader.read()[VERDICT] == REJECT
    assert not caplog.records


@pytest.mark.parametrize("is_server", [True, False], ids=["listen", "address"])
def test_closing_ends_a_delivery_that_waits(*, is_server: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        listen = f"127.0.0.1:{free_port()}" if is_server else None
        address = None if is_server else f"127.0.0.1:{port}"
        options = ModbusOptions(listen=listen, address=address, handshake=True, timeout_s=60.0)
        sink = ModbusSink(options)
        failed: list[OutputError] = []

        def work() -> None:
            try:
                sink.deliver([fresh(1)])
            except OutputError as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.1)
        began = time.monotonic()
        sink.close()
        thread.join(1.0)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1.0
        assert "closed" in str(failed[0])
        sink.close()
        with pytest.raises(OutputError, match="closed"):
            sink.deliver([fresh(1)])


def test_nothing_is_left_after_closing() -> None:
    port = free_port()
    with controller(port):

        def work() -> None:
            with serving() as (sink, own), reading(own) as reader, ready_line(sink):
                sink.deliver([fresh(1)])
                reader.read()
            with writing(port) as sink, ready_line(sink):
                sink.deliver([fresh(1)])

        work()
        threads, files = threading.active_count(), open_files()
        for _ in range(5):
            work()
        wait_for(lambda: threading.active_count() == threads)
        wait_for(lambda: open_files() == files)


def test_a_hundred_connections_that_come_and_go_leave_nothing_behind() -> None:
    with serving() as (_, port), reading(port) as reader:
        reader.read()
        files = open_files()
        for _ in range(100):
            with reading(port) as other:
                other.read()
        wait_for(lambda: open_files() == files)
        reader.read()
