"""The software trigger on a real line: calls come in, verdicts go back."""

import concurrent.futures
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.record import Access, Record
from linegate_runtime.triggers.software import SoftwareOptions, SoftwareTrigger
from tests.broker import free_port, mosquitto
from tests.record_run import line, wait_for, write_config
from tests.runtime.mqtt_support import consumer, until

Call = Callable[..., tuple[int, dict[str, Any]]]


def call(port: int, path: str = "/inspect", **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=b"", headers=headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def trigger(port: int) -> Iterator[SoftwareTrigger]:
    opened = SoftwareTrigger(SoftwareOptions(listen=f"127.0.0.1:{port}", frames=2))
    yield opened
    opened.close()


def test_a_call_gets_the_verdict_that_is_on_record(
    tmp_path: Path, bundle_path: Path, port: int
) -> None:
    record = tmp_path / "r.sqlite"
    trigger = f'kind = "software"\nlisten = "127.0.0.1:{port}"'
    config = write_config(tmp_path, record, [], trigger=trigger)
    with line(bundle_path, config):
        wait_for(lambda: listens(port))
        started = time.monotonic()
        answers = [call(port) for _ in range(5)]
        assert time.monotonic() - started < 5
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers += list(pool.map(lambda _: call(port), range(8)))
    assert {status for status, _ in answers} == {200}
    told = [answer["parts"][0] for _, answer in answers]
    assert all(answer["verdict"] == answer["parts"][0]["verdict"] for _, answer in answers)
    assert {part["frames_voted"] for part in told} == {3}
    with Record(record, Access.READ) as opened:
        rows = {one.row.uuid: one for one in opened.rows()}
    assert {part["uuid"] for part in told} == set(rows)
    assert all(rows[part["uuid"]].hash == part["record_hash"] for part in told)
    assert all(rows[part["uuid"]].number == part["record"] for part in told)


def test_two_regions_are_one_call_and_the_worst_verdict_counts(
    tmp_path: Path, bundle_path: Path, port: int
) -> None:
    regions = (
        '[[region]]\nname = "a"\nx = 0\ny = 0\nwidth = 32\nheight = 48\n'
        '[[region]]\nname = "b"\nx = 32\ny = 0\nwidth = 32\nheight = 48\n'
    )
    trigger = f'kind = "software"\nlisten = "127.0.0.1:{port}"'
    config = write_config(tmp_path, tmp_path / "r.sqlite", [], regions, trigger)
    with line(bundle_path, config):
        wait_for(lambda: listens(port))
        status, answer = call(port)
    assert status == 200
    assert [part["region"] for part in answer["parts"]] == ["a", "b"]


def test_a_line_that_is_stuck_is_answered_with_a_rejection_in_time(
    tmp_path: Path, bundle_path: Path, port: int
) -> None:
    trigger = f'kind = "software"\nlisten = "127.0.0.1:{port}"\nanswer_within_s = 1.0'
    extra = "[verdict]\ndeadline_s = 0.5\n"
    config = write_config(tmp_path, tmp_path / "r.sqlite", [], extra, trigger)
    with line(bundle_path, config) as process:
        wait_for(lambda: listens(port))
        assert call(port)[0] == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        camera = next(
            int(child)
            for child in children
            if b"capture_child" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        os.kill(camera, signal.SIGSTOP)
        started = time.monotonic()
        status, answer = call(port)
        assert time.monotonic() - started < 1.5
        os.kill(camera, signal.SIGCONT)
    assert answer["verdict"] == "reject"
    # No frame came: the part was rejected at its deadline, which is on record.
    assert status == 200
    assert [part["reason"] for part in answer["parts"]] == ["late"]


def test_without_a_verdict_the_answer_is_a_rejection(port: int, trigger: SoftwareTrigger) -> None:
    trigger._desk._answer_within_s = 0.2
    status, answer = call(port)
    assert (status, answer) == (504, {"verdict": "reject", "is_late": True, "parts": []})


def test_wrong_calls_are_refused(port: int, trigger: SoftwareTrigger) -> None:
    assert call(port, "/other")[0] == 404
    assert call(port, Origin="http://evil.example")[0] == 403
    with pytest.raises(urllib.error.HTTPError, match="405") as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/inspect", timeout=5)
    caught.value.close()
    assert trigger.begun(0) == ()


def test_a_token_is_asked_for_and_not_repeated(tmp_path: Path, port: int) -> None:
    token = tmp_path / "token"
    token.write_text("hush-hush\n")
    options = SoftwareOptions(
        listen=f"127.0.0.1:{port}", token_file=token, answer_within_s=0.1, frames=1
    )
    trigger = SoftwareTrigger(options)
    try:
        status, answer = call(port, Authorization="Bearer wrong")
        assert status == 401
        assert "hush" not in str(answer)
        assert call(port)[0] == 401
        assert call(port, Authorization="Bearer hush-hush")[0] == 504
    finally:
        trigger.close()


def test_calls_that_overlap_get_frames_of_their_own(trigger: SoftwareTrigger) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    now_ns = time.monotonic_ns()
    first, second = trigger._clerk.begin(now_ns), trigger._clerk.begin(now_ns + 1)
    assert [one.part for one in trigger.begun(now_ns)] == [first, second]
    seen = [trigger.observe(pixels, now_ns + step) for step in range(1, 6)]
    shown = [[sighting.part for sighting in one.sightings] for one in seen]
    assert shown == [[first], [first], [second], [second], []]
    assert [one.ended for one in seen] == [(), (first,), (), (second,), ()]


def test_a_frame_from_before_the_call_shows_nothing(trigger: SoftwareTrigger) -> None:
    now_ns = time.monotonic_ns()
    trigger._clerk.begin(now_ns)
    assert trigger.observe(np.zeros((8, 8, 3), np.uint8), now_ns - 1).sightings == ()


def test_triggers_at_one_place_share_it_and_the_last_lets_it_go(port: int) -> None:
    options = SoftwareOptions(listen=f"127.0.0.1:{port}")
    first, second = SoftwareTrigger(options), SoftwareTrigger(options)
    first.close()
    first.close()
    assert listens(port)
    second.close()
    assert not listens(port)
    SoftwareTrigger(options).close()


def test_a_port_that_is_taken_and_wrong_addresses_are_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="cannot be served: Address already in use"):
            SoftwareTrigger(SoftwareOptions(listen=listen))
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        SoftwareTrigger(SoftwareOptions(listen="localhost"))
    missing = tmp_path / "none"
    with pytest.raises(ConfigError, match="No such file"):
        SoftwareTrigger(SoftwareOptions(listen="127.0.0.1:9", token_file=missing))


def test_a_call_over_mqtt_is_answered_with_its_own_name_also_after_the_broker_was_away(
    tmp_path: Path, bundle_path: Path
) -> None:
    with mosquitto(tmp_path) as broker:
        trigger = f'kind = "software"\nbroker = "{broker.address}"\ntopic = "plant/line"'
        config = write_config(tmp_path, tmp_path / "r.sqlite", [], trigger=trigger)
        with line(bundle_path, config), consumer(broker) as caller:
            for name in ("first", "second"):
                until(
                    lambda: caller.of("plant/line/inspect/availability")[-1:] == [b"online"],
                    "the line is there",
                )
                before = len(caller.of("plant/line/inspected"))
                caller.publish("plant/line/inspect", name)
                until(
                    lambda: len(caller.of("plant/line/inspected")) > before,  # noqa: B023
                    "the call is answered",
                )
                answer = json.loads(caller.of("plant/line/inspected")[-1])
                assert answer["call"] == name
                assert answer["is_late"] is False
                assert answer["parts"][0]["frames_voted"] == 3
                if name == "first":
                    caller.messages.clear()
                    broker.restart()
        with Record(tmp_path / "r.sqlite", Access.READ) as opened:
            uuids = [one.row.uuid for one in opened.rows()]
    assert answer["parts"][0]["uuid"] == uuids[-1]


def test_a_trigger_without_a_way_in_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected listen or broker"):
        SoftwareTrigger(SoftwareOptions())
    with pytest.raises(ConfigError, match="broker: expected HOST:PORT"):
        SoftwareTrigger(SoftwareOptions(broker="nowhere"))
