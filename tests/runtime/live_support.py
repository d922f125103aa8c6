"""Helpers for the tests of the live side: requests, belts, and processes that are watched."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.images import encode_jpeg
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.capture_protocol import Checks, Request
from linegate_runtime.geometry import Size
from linegate_runtime.sources import SourceOptions
from linegate_runtime.testing import Belt


def fake_camera(address: str = "64x48@100") -> Request:
    """Return a request for the fake source."""
    return Request(source="fake", options=SourceOptions(address=address))


def stream(
    address: str,
    *,
    open_timeout_s: float = 2.0,
    read_timeout_s: float = 1.0,
    size: Size | None = None,
    checks: Checks | None = None,
) -> Request:
    """Return a request for a network stream."""
    options = SourceOptions(
        address=address, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s, size=size
    )
    return Request(source="mjpeg", options=options, checks=checks or Checks())


def even_picture(value: int, width: int = 64, height: int = 48) -> UInt8Array:
    """Return a picture of one grey."""
    return np.full((height, width, 3), value, np.uint8)


def showing(value: int) -> Callable[[float], UInt8Array]:
    """Return what a camera before an even grey shows, at any time."""

    def frame_at(seconds: float) -> UInt8Array:
        del seconds
        return even_picture(value)

    return frame_at


def grey_part(value: int, side: int = 300) -> UInt8Array:
    """Return a part of about one grey, with a pattern inside and a black bar."""
    part = np.full((side, side, 3), value, np.uint8)
    part[:, :: max(2, side // 6)] //= 2
    part[side // 2 : side // 2 + side // 20 + 1] = 0
    return part


def through_jpeg(picture: UInt8Array, quality: int = 95) -> UInt8Array:
    """Return a picture as a camera would send it."""
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(picture, quality), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.view(np.uint8)


def write_empty(belt: Belt, folder: Path) -> Path:
    """Write the picture of a belt without parts."""
    path = folder / "empty.png"
    assert cv2.imwrite(str(path), belt.empty())
    return path


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that is dead but not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    """Wait until a condition holds, and return whether it came to hold in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
