"""The quick ways to a UUID and to the time of day say what the library says."""

import datetime as dt
import re
import uuid

import pytest

from linegate_runtime.rows import Uuids, WallClock


def test_uuids_are_random_ones_of_version_4_and_all_differ() -> None:
    uuids = Uuids()
    made = [uuids.next() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)


def test_two_makers_never_share_their_randomness() -> None:
    assert Uuids().next() != Uuids().next()


@pytest.mark.parametrize(
    "now_ns", [0, 999_999_999, 1_700_000_000_123_456_789, 4_102_444_800 * 10**9]
)
def test_the_clock_is_that_of_the_library(monkeypatch: pytest.MonkeyPatch, now_ns: int) -> None:
    monkeypatch.setattr("time.time_ns", lambda: now_ns)
    text = WallClock().text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    expected = dt.datetime.fromtimestamp(now_ns // 10**6 / 1000, dt.UTC)
    assert dt.datetime.fromisoformat(text) == expected


def test_the_clock_goes_on_within_a_second_and_over_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = WallClock()
    texts = []
    for now_ms in (1_000, 1_001, 1_999, 2_000, 500):
        monkeypatch.setattr("time.time_ns", lambda now_ms=now_ms: now_ms * 1_000_000)
        texts.append(clock.text()[17:])
    assert texts == ["01.000Z", "01.001Z", "01.999Z", "02.000Z", "00.500Z"]
