"""Outputs: what all of them keep to, and the two that need nothing outside."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import OutputError
from linegate_runtime.part_row import PartRow
from linegate_runtime.sinks import SINKS, Gate, LineState, Sink
from linegate_runtime.sinks.fake import FakeSink, FakeSinkOptions
from linegate_runtime.sinks.jsonlines import JsonLinesOptions, JsonLinesSink
from tests.runtime.sink_support import recorded


@pytest.fixture(params=["fake", "jsonlines"])
def sink(request: pytest.FixtureRequest) -> Iterator[Sink[Any]]:
    family = SINKS.load(request.param)
    assert issubclass(family, Sink)
    opened: Sink[Any] = family(family.Options())
    yield opened
    opened.close()


def test_every_output_is_a_sink_or_a_gate_and_gates_are_few() -> None:
    families = {name: SINKS.load(name) for name in SINKS.names()}
    assert [name for name, family in families.items() if issubclass(family, Gate)] == [
        "fake-gate",
        "gpio",
    ]
    assert all(issubclass(family, (Sink, Gate)) for family in families.values())


def test_contract_rows_are_taken_and_closing_twice_does_no_harm(sink: Sink[Any]) -> None:
    sink.show(LineState(is_ready=True))
    sink.deliver([recorded(1)])
    sink.deliver([recorded(2)])
    sink.close()
    sink.close()


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
