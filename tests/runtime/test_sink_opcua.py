"""The OPC UA sink against real clients of asyncua."""

import contextlib
import datetime as dt
import itertools
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asyncua import ua
from asyncua.ua.uaerrors import UaError

from linegate_bundle.errors import ConfigError, OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.reason import Reason
from linegate_runtime.sinks.opcua import OpcUaOptions, OpcUaSink
from tests.runtime.controller_support import (
    NOT_READY,
    READY,
    free_port,
    fresh,
    open_files,
    ready_line,
    wait_for,
)
from tests.runtime.opcua_support import Reader, reading, serving

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def opened(port: int) -> Iterator[OpcUaSink]:
    with serving(port, max_age_s=5.0) as sink:
        yield sink


@pytest.fixture
def sink(opened: OpcUaSink) -> Iterator[OpcUaSink]:
    with ready_line(opened):
        yield opened


@pytest.fixture
def reader(port: int, opened: OpcUaSink) -> Iterator[Reader]:
    del opened
    with reading(port) as opened_reader:
        yield opened_reader


class Changes:
    """Takes data changes of a subscription."""

    def __init__(self) -> None:
        self.values: queue.Queue[Any] = queue.Queue()

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        del node
        self.values.put((value, data.monitored_item.Value.StatusCode.name))

    def next(self) -> tuple[Any, str]:
        value, status = self.values.get(timeout=3)
        return value, status


def test_a_verdict_stands_in_the_nodes_with_its_own_time(sink: OpcUaSink, reader: Reader) -> None:
    before = [reader.value(f"Counters.{name}") for name in ("Accepted", "Total")]
    part = fresh(next(NUMBERS), region="top", reason=Reason.FEW)
    sink.deliver([part])
    names = ("Verdict", "VerdictCode", "Uuid", "PartNumber", "Camera", "Region", "Label")
    expected = ["accept", 1, part.row.uuid, part.row.part, "left", "top", "bright"]
    assert [reader.value(name) for name in names] == expected
    assert [reader.value(name) for name in ("DefectProbability", "Reason")] == [0.875, "few"]
    assert reader.value("Time") == dt.datetime.fromisoformat(part.row.time_utc)
    assert reader.read("Verdict").SourceTimestamp == reader.value("Time")
    assert msgspec.json.decode(reader.value("Row"))["uuid"] == part.row.uuid
    after = [reader.value(f"Counters.{name}") for name in ("Accepted", "Total")]
    assert after == [before[0] + 1, before[1] + 1]
    assert {reader.status(name) for name in (*names, "Row", "Reason")} == {"Good"}
    types = {name: reader.read(name).Value.VariantType.name for name in ("PartNumber", "Time")}
    assert types == {"PartNumber": "UInt32", "Time": "DateTime"}


def test_a_part_that_no_frame_showed_has_no_probability(sink: OpcUaSink, reader: Reader) -> None:
    nothing: dict[str, Any] = {"label": None, "probabilities": {}, "defect_probability": None}
    sink.deliver([fresh(next(NUMBERS), verdict=Verdict.REJECT, **nothing)])
    assert [reader.value(name) for name in ("Verdict", "Label")] == ["reject", ""]
    assert reader.status("DefectProbability") == "BadNoDataAvailable"


def test_a_subscription_gets_each_verdict_once_and_in_order(
    sink: OpcUaSink, reader: Reader
) -> None:
    changes = Changes()
    subscription = reader.client.create_subscription(50, changes)
    subscription.subscribe_data_change(reader.node("Uuid"), queuesize=100)
    changes.next()
    parts = [fresh(next(NUMBERS)) for _ in range(40)]
    for part in parts:
        sink.deliver([part])
    assert [changes.next() for _ in parts] == [(part.row.uuid, "Good") for part in parts]
    subscription.delete()
    assert changes.values.empty()


def test_verdicts_that_are_alike_are_changes_for_who_asks_for_the_time(
    sink: OpcUaSink, reader: Reader
) -> None:
    changes = Changes()
    subscription = reader.client.create_subscription(50, changes)
    wanted = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    node, value = reader.node("Verdict").aio_obj, ua.attribute_ids.AttributeIds.Value
    request = subscription.aio_obj._make_monitored_item_request(
        node, value, wanted, 10, ua.MonitoringMode.Reporting, 0.0
    )
    reader.client.tloop.post(subscription.aio_obj.create_monitored_items([request]))
    sink.deliver([fresh(next(NUMBERS))])
    for _ in range(3):
        sink.deliver([fresh(next(NUMBERS))])
    wait_for(lambda: changes.values.qsize() >= 4)
    subscription.delete()


def test_without_a_line_that_is_ready_the_verdict_has_no_value(
    opened: OpcUaSink, reader: Reader
) -> None:
    changes = Changes()
    subscription = reader.client.create_subscription(50, changes)
    with ready_line(opened):
        opened.deliver([fresh(next(NUMBERS))])
        subscription.subscribe_data_change(reader.node("Verdict"), queuesize=10)
        assert changes.next() == ("accept", "Good")
    wait_for(lambda: reader.status("Verdict") == "BadOutOfService", 1.5)
    assert reader.value("Verdict") is None
    assert reader.status("VerdictCode") == "BadOutOfService"
    assert changes.next() == (None, "BadOutOfService")
    assert reader.value("Ready") is False
    assert "not been heard of" in reader.value("Reasons")
    beats = reader.value("Heartbeat")
    time.sleep(0.25)
    assert reader.value("Heartbeat") == beats
    opened.show(NOT_READY)
    wait_for(lambda: reader.value("Reasons") == "no camera", 1.5)
    with ready_line(opened):
        wait_for(lambda: reader.value("Heartbeat") >= beats + 3, 2.0)
        assert reader.value("Ready") is True
        assert reader.value("Verdict") is None
        opened.deliver([fresh(next(NUMBERS))])
        assert reader.value("Verdict") == "accept"
    assert changes.next() == ("accept", "Good")
    subscription.delete()


def test_an_old_verdict_is_told_but_not_to_be_acted_upon(sink: OpcUaSink, reader: Reader) -> None:
    soon_old_ns = time.monotonic_ns() - 4_700_000_000
    sink.deliver([fresh(next(NUMBERS), monotonic_ns=soon_old_ns)])
    assert reader.value("Verdict") == "accept"
    wait_for(lambda: reader.status("Verdict") == "BadOutOfService", 1.5)
    assert reader.status("Uuid") == "Good"
    part = fresh(next(NUMBERS), boot_id="22222222-2222-4222-8222-222222222222")
    sink.deliver([part])
    assert reader.value("Verdict") is None
    assert reader.value("Uuid") == part.row.uuid
    assert reader.status("Uuid") == "UncertainLastUsableValue"


def test_nodes_that_are_read_together_belong_together(sink: OpcUaSink, reader: Reader) -> None:
    is_over = threading.Event()
    verdicts = [Verdict.ACCEPT, Verdict.REJECT, Verdict.UNSURE]

    def work() -> None:
        while not is_over.is_set():
            number = next(NUMBERS)
            sink.deliver([fresh(number, verdict=verdicts[number % 3])])

    sink.deliver([fresh(next(NUMBERS))])
    thread = threading.Thread(target=work)
    nodes = [reader.node(name) for name in ("VerdictCode", "PartNumber", "Uuid", "Verdict", "Row")]
    thread.start()
    seen = set()
    try:
        reader.client.read_values(nodes)
        for _ in range(100):
            code, number, uuid, verdict, row = reader.client.read_values(nodes)
            told = msgspec.json.decode(row)
            assert (told["part"], told["uuid"], told["verdict"]) == (number, uuid, verdict)
            assert code == verdicts.index(Verdict(verdict)) + 1
            seen.add(number)
    finally:
        is_over.set()
        thread.join()
    assert len(seen) > 10


def test_nobody_may_write_not_even_an_admin(
    sink: OpcUaSink, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    sink.deliver([fresh(next(NUMBERS), verdict=Verdict.REJECT)])
    with pytest.raises(UaError), reading(port, "admin"):
        pass
    with reading(port) as reader:
        for name in ("Verdict", "Ready", "Heartbeat"):
            with pytest.raises(UaError):
                reader.node(name).write_value(reader.value(name))
        with pytest.raises(UaError):
            reader.client.nodes.objects.add_variable(2, "more", 1)
        assert reader.value("Verdict") == "reject"
    assert not caplog.records


def test_clients_come_again_after_a_restart_and_before_the_first_verdict_there_is_none() -> None:
    port = free_port()
    for _ in range(2):
        with serving(port) as sink:
            for _ in range(2):
                with reading(port) as reader:
                    waiting = ("Verdict", "VerdictCode", "Uuid", "Row", "Label")
                    statuses = {reader.status(name) for name in waiting}
                    assert statuses == {"BadWaitingForInitialData"}
                    assert reader.value("Verdict") is None
            with ready_line(sink), reading(port) as reader:
                sink.deliver([fresh(1)])
                assert reader.value("Verdict") == "accept"


def test_nothing_is_left_after_closing_while_clients_are_there() -> None:
    port = free_port()
    threads, files = threading.active_count(), open_files()
    sink = OpcUaSink(OpcUaOptions(listen=f"127.0.0.1:{port}"))
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        # The client finds its connection closed when it says goodbye.
        with contextlib.suppress(UaError, OSError, TimeoutError), reading(port):
            began = time.monotonic()
            sink.close()
            assert time.monotonic() - began < 1.0
    sink.close()
    sink.show(READY)
    with pytest.raises(OutputError, match="closed"):
        sink.deliver([fresh(1)])
    wait_for(lambda: threading.active_count() <= threads)
    wait_for(lambda: open_files() <= files)


def test_wrong_options_are_named(tmp_path: Path) -> None:
    assert list(OpcUaOptions(listen="nowhere").problems()) == ["listen"]
    here = "127.0.0.1:4840"
    assert list(OpcUaOptions(listen=here, user="a").problems()) == ["user"]
    missing = OpcUaOptions(listen=here, certificate=tmp_path / "none.pem").problems()
    assert missing["certificate"].startswith("expected certificate and key")
    both = OpcUaOptions(listen=here, certificate=tmp_path / "a", key=tmp_path / "b").problems()
    assert sorted(both) == ["certificate", "key"]
    with pytest.raises(ConfigError, match="listen: expected HOST:PORT"):
        OpcUaSink(OpcUaOptions(listen="nowhere"))


def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"cannot listen on {address}.*in use"):
            OpcUaSink(OpcUaOptions(listen=address))


def test_a_missing_asyncua_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncua", None)
    with pytest.raises(ConfigError, match=r"pip install 'linegate-runtime\[opcua\]'"):
        OpcUaSink(OpcUaOptions(listen="127.0.0.1:1"))
