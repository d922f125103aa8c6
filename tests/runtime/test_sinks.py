"""Sinks: one contract for all."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import OutputError
from linegate_runtime.record import PartRow
from linegate_runtime.sinks import SINKS, Sink
from linegate_runtime.sinks.fake import FakeSink, FakeSinkOptions
from linegate_runtime.sinks.jsonlines import JsonLinesOptions, JsonLinesSink
from tests.runtime.test_record import row


@pytest.fixture(params=["fake", "jsonlines"])
def sink(request: pytest.FixtureRequest) -> Iterator[Sink[Any]]:
    family = SINKS.load(request.param)
    opened = family(family.Options())
    yield opened
    opened.close()


def test_every_registered_sink_is_under_the_contract() -> None:
    assert SINKS.names() == ["fake", "jsonlines"]


def test_contract_rows_are_taken_and_closing_twice_does_no_harm(sink: Sink[Any]) -> None:
    sink.announce(row(1))
    sink.announce(row(2))
    sink.close()
    sink.close()


def test_json_lines_are_whole_rows_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLinesSink(JsonLinesOptions())
    rows = [row(1), row(2)]
    for each in rows:
        sink.announce(each)
    lines = capsys.readouterr().out.splitlines()
    assert [msgspec.json.decode(line, type=PartRow) for line in lines] == rows


def test_the_fake_remembers_and_fails_when_told_to() -> None:
    sink = FakeSink(FakeSinkOptions(fail_at=2))
    sink.announce(row(1))
    with pytest.raises(OutputError, match="fails at part 2"):
        sink.announce(row(2))
    assert [each.part for each in sink.rows] == [1]
