"""What the capture's two processes say to each other, and whose turn a slot is."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegate_runtime.capture import public_address
from linegate_runtime.capture_checks import FrameChecks
from linegate_runtime.capture_child import Publisher
from linegate_runtime.capture_protocol import (
    SLOTS,
    Ended,
    Event,
    Failed,
    Fault,
    FrameReady,
    NoNewer,
    Notice,
    Opened,
    Started,
    decode_event,
    encode_line,
    slot_stride,
)
from linegate_runtime.sources import Captured
from tests.runtime.live_support import even_picture


@given(
    user=st.text("abc", min_size=1),
    password=st.text("xyz", min_size=1),
    host=st.from_regex(r"[a-z]{1,8}(\.[a-z]{2})?", fullmatch=True),
    port=st.integers(1, 65535),
    path=st.from_regex(r"(/[a-z0-9?=]{0,5}){0,3}", fullmatch=True),
)
def test_credentials_are_cut_out_of_any_address(
    user: str, password: str, host: str, port: int, path: str
) -> None:
    shown = public_address(f"rtsp://{user}:{password}@{host}:{port}{path}")
    assert "@" not in shown
    assert password not in shown.removeprefix("rtsp://").removeprefix(host).partition("/")[0]
    assert shown == public_address(shown)
    assert shown.startswith(f"rtsp://{host}:{port}")


@pytest.mark.parametrize("address", ["0", "/dev/video0", "folder/a@b.mp4", "http://host/a@b"])
def test_other_addresses_are_shown_as_they_are(address: str) -> None:
    assert public_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://admin:12#secret@camera/s",
        "rtsp://admin:12/secret@camera/s",
        "rtsp://admin:12?secret@camera/s",
        "rtsp://camera/user=admin&password=secret",
        "http://camera/video?user=admin&pwd=secret",
        "rtsp://admin:secret\u2100@camera/1",
        "rtsp://[secret",
    ],
)
def test_a_password_that_tears_an_address_apart_is_not_shown(address: str) -> None:
    shown = public_address(address)
    assert "secret" not in shown
    assert "12" not in shown
    assert shown.partition("://")[0] in {"rtsp", "http"}


EVENTS = st.one_of(
    st.builds(Started, live=st.booleans()),
    st.just(Ended()),
    st.builds(Opened, width=st.integers(1, 8192), height=st.integers(1, 8192), live=st.booleans()),
    st.builds(
        FrameReady,
        number=st.integers(1, 2**53),
        slot=st.integers(0, SLOTS - 1),
        monotonic_ns=st.integers(0, 2**63 - 1),
        taken_ns=st.integers(-(2**62), 2**63 - 1),
        repeated=st.integers(0, 2**53),
        black=st.integers(0, 2**53),
    ),
    st.just(NoNewer()),
    st.builds(Notice, message=st.text()),
    st.builds(Failed, fault=st.sampled_from(Fault), message=st.text(), again=st.booleans()),
)


@given(EVENTS)
def test_an_event_is_one_line_and_comes_back_the_same(event: Event) -> None:
    line = encode_line(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_event(line[:-1]) == event


@given(st.integers(1, 8192), st.integers(1, 8192))
def test_slots_hold_a_frame_and_begin_on_pages(width: int, height: int) -> None:
    stride = slot_stride(width, height)
    assert stride % 4096 == 0
    assert width * height * 3 <= stride < width * height * 3 + 4096


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["frame", "want", "refresh", "same"]), max_size=40))
def test_the_slot_that_the_parent_reads_is_never_written(steps: list[str]) -> None:
    memory = os.memfd_create("test")
    reader, writer = os.pipe()
    try:
        checks = FrameChecks(black_below=0, repeats=True)
        publisher = Publisher(memory, writer, live=True, checks=checks)
        held: tuple[int, int] | None = None
        value = 0
        for step in ["frame", *steps]:
            if step == "want":
                held = None
                publisher.want()
            elif step == "refresh" and held is not None:
                publisher.refresh()
            elif step in ("frame", "same"):
                value += step == "frame"
                publisher.publish(Captured(even_picture(value, 8, 8), value))
            for line in drain(reader):
                if line["type"] == "FrameReady":
                    assert held is None or step == "refresh"
                    assert held is None or int(line["monotonic_ns"]) > held[1]
                    held = (int(line["slot"]), int(line["monotonic_ns"]))
            if held is not None:
                slot, shown = held
                content = os.pread(memory, 8 * 8 * 3, slot * slot_stride(8, 8))
                assert content == bytes([shown]) * len(content)
    finally:
        for descriptor in (memory, reader, writer):
            os.close(descriptor)


def drain(reader: int) -> list[dict[str, str]]:
    os.set_blocking(reader, False)
    try:
        content = os.read(reader, 65536)
    except BlockingIOError:
        return []
    return [json.loads(line) for line in content.splitlines()]
