"""Outputs: what all of them keep to, and the two that need nothing outside."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.outputs_protocol import typed_options
from linegate_runtime.part_row import PartRow
from linegate_runtime.sinks import SINKS, Gate, LineState, Sink, SinkOptions
from linegate_runtime.sinks.fake import FakeSink, FakeSinkOptions
from linegate_runtime.sinks.jsonlines import JsonLinesOptions, JsonLinesSink
from tests.broker import free_port, mosquitto
from tests.record_run import Receiver
from tests.runtime.sink_support import recorded


@dataclasses.dataclass(frozen=True)
class Rig:
    """A sink with a receiver that takes everything, and one whose receiver is not there."""

    near: dict[str, object]
    away: dict[str, object] | None = None
    """None where there is nothing that could be away."""


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Callable[[str], Rig]]:
    with contextlib.ExitStack() as stack:

        def rig(kind: str) -> Rig:
            nobody = f"127.0.0.1:{free_port()}"
            if kind == "csv":
                return Rig({"path": str(tmp_path / "parts.csv")})
            if kind == "http":
                receiver = stack.enter_context(Receiver())
                return Rig({"url": receiver.url}, {"url": f"http://{nobody}/"})
            if kind == "mqtt":
                broker = stack.enter_context(mosquitto(tmp_path))
                return Rig({"address": broker.address}, {"address": nobody})
            if kind == "modbus":
                return Rig({"listen": nobody}, {"address": nobody, "timeout_s": 1.0})
            if kind == "opcua":
                return Rig({"listen": nobody})
            return Rig({})

        yield rig


SINKS_BY_KIND = [kind for kind in SINKS.names() if issubclass(SINKS.load(kind), Sink)]


@pytest.fixture(params=SINKS_BY_KIND)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def open_sink(kind: str, table: dict[str, object]) -> Sink[Any]:
    family = SINKS.load(kind)
    assert issubclass(family, Sink)
    options = typed_options(table, family.Options)
    assert isinstance(options, SinkOptions)
    assert options.problems() == {}
    opened: Sink[Any] = family(options)
    return opened


@pytest.fixture
def sink(kind: str, rigs: Callable[[str], Rig]) -> Iterator[Sink[Any]]:
    opened = open_sink(kind, rigs(kind).near)
    yield opened
    opened.close()


def test_every_output_is_a_sink_or_a_gate_and_gates_are_few() -> None:
    families = {name: SINKS.load(name) for name in SINKS.names()}
    assert [name for name, family in families.items() if issubclass(family, Gate)] == [
        "fake-gate",
        "gpio",
    ]
    assert all(issubclass(family, (Sink, Gate)) for family in families.values())


def test_contract_parts_are_taken_in_order_and_again_if_need_be(sink: Sink[Any]) -> None:
    sink.show(LineState(is_ready=True))
    sink.deliver([recorded(1)])
    sink.deliver([recorded(2)])
    sink.deliver([recorded(2)])  # as after an error, or by another process
    many = [recorded(part) for part in range(3, 3 + sink.batch)]
    sink.deliver(many)
    sink.show(LineState(is_ready=False, reasons=("the camera is blind",)))


def test_contract_closing_takes_less_than_a_second_and_twice_does_no_harm(sink: Sink[Any]) -> None:
    sink.deliver([recorded(1)])
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 1.5
    sink.close()


def test_contract_showing_how_the_line_is_does_not_wait(sink: Sink[Any]) -> None:
    sink.deliver([recorded(1)])
    started = time.monotonic()
    for ready in (True, False) * 50:
        sink.show(LineState(is_ready=ready, parts={Verdict.ACCEPT: 1}))
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("kind", ["http", "modbus", "mqtt"])
def test_contract_who_is_away_is_an_error_of_delivering_and_not_of_opening(
    kind: str, rigs: Callable[[str], Rig]
) -> None:
    away = rigs(kind).away
    assert away is not None
    sink = open_sink(kind, away)
    sink.show(LineState(is_ready=True))
    with pytest.raises(OutputError):
        sink.deliver([recorded(1)])
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 1.5


def test_contract_each_kind_takes_a_name_and_refuses_unknown_keys(kind: str) -> None:
    fields = {field.name for field in msgspec.structs.fields(SINKS.load(kind).Options)}
    assert "name" in fields
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        typed_options({"colour": "red"}, SINKS.load(kind).Options)


def test_json_lines_are_whole_rows_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLinesSink(JsonLinesOptions())
    parts = [recorded(1), recorded(2)]
    sink.deliver(parts)
    lines = capsys.readouterr().out.splitlines()
    assert [msgspec.json.decode(line, type=PartRow) for line in lines] == [
        part.row for part in parts
    ]


def test_the_fake_remembers_and_fails_once_when_told_to() -> None:
    sink = FakeSink(FakeSinkOptions(fail_at=2))
    parts = [recorded(1), recorded(2)]
    with pytest.raises(OutputError, match="fails at part 2"):
        sink.deliver(parts)
    sink.deliver(parts)
    assert [row.part for row in sink.rows] == [1, 1, 2]
