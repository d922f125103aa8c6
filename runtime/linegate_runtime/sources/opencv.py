"""Cameras, network streams and video files through OpenCV."""

import os
import re
import socket
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from linegate_bundle.errors import CameraError, ConfigError
from linegate_bundle.images import silence_opencv
from linegate_runtime.sources.base import SETTINGS, Captured, Source, SourceOptions, check_settings
from linegate_runtime.sources.stream_pace import StreamPace
from linegate_runtime.sources.v4l2 import open_device

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_STREAMS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "udp": 0, "rtp": 0}
"""Schemes of network streams, each with its usual port; 0 for those without connection."""

_SHORTEST_TRY_S = 0.1
"""Less than this left of a time-out is not worth another try."""

_DEVICE = re.compile(r"[0-9]{1,3}|/dev/.+")


class OpenCvSource(Source):
    """``cv2.VideoCapture`` with time-outs.

    Addresses: a number or ``/dev/video0`` (USB and other V4L2 cameras),
    ``rtsp://``, ``https://`` and other network streams, or the path of a video file.
    FFmpeg, which decodes streams, shows damaged pictures as if they were whole.
    Exposure, gain and white balance can be set for V4L2 cameras only.
    """

    settings = frozenset(SETTINGS)

    def __init__(self, options: SourceOptions) -> None:
        check_settings(type(self), options)
        self._options = options
        self._buffer: UInt8Array | None = None
        self._pace = StreamPace()
        started = time.monotonic()
        _quieten(options)
        self._is_stream = _scheme(options.address) in _STREAMS
        if self._is_stream:
            self._capture = _open_stream(options)
        elif _is_device(options.address):
            self._capture = open_device(options)
        else:
            self._capture = cv2.VideoCapture(options.address, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise CameraError(_why_not(options, time.monotonic() - started))

    @classmethod
    def is_live(cls, address: str) -> bool:
        """See :meth:`Source.is_live`; only a video file is not."""
        return _scheme(address) in _STREAMS or _is_device(address)

    @classmethod
    def settable(cls, address: str) -> frozenset[str]:
        """See :meth:`Source.settable`."""
        return cls.settings if _is_device(address) else frozenset()

    def read(self) -> Captured | None:
        """See :meth:`Source.read`."""
        monotonic_ns = self._grab()
        # What was held back on its way is as old as nobody knows.
        while self._is_stream and monotonic_ns is not None and not self._is_new(monotonic_ns):
            monotonic_ns = self._grab()
        if monotonic_ns is None:
            return None
        decoded, pixels = self._capture.retrieve(self._buffer)
        if not decoded:
            raise CameraError("expected a frame, got data that cannot be decoded")
        if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
            raise CameraError(
                f"expected 8-bit colour frames, got {pixels.dtype} of shape {pixels.shape}"
            )
        self._buffer = pixels.view(np.uint8)
        return Captured(pixels=self._buffer, monotonic_ns=monotonic_ns)

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._capture.release()

    def _grab(self) -> int | None:
        """Wait for the next frame; return when it came, None at the end of a file."""
        started = time.monotonic()
        if self._capture.grab():
            return time.monotonic_ns()
        if not self.is_live(self._options.address):
            return None
        raise CameraError(
            f"expected a frame within {self._options.read_timeout_s:g} s, the stream ended "
            f"or fell silent after {time.monotonic() - started:.1f} s"
        )

    def _is_new(self, monotonic_ns: int) -> bool:
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return self._pace.is_new(monotonic_ns, round(stamp_ms * 1e6), time.process_time_ns())


def _scheme(address: str) -> str:
    scheme, separator, _ = address.partition("://")
    return scheme.lower() if separator else ""


def _is_device(address: str) -> bool:
    return _DEVICE.fullmatch(address) is not None


def _quieten(options: SourceOptions) -> None:
    # OpenCV and FFmpeg write to stderr what our own error says better. This is the
    # capture's own process, so its environment is ours to set.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault(
        "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(max(1, round(options.read_timeout_s)))
    )
    silence_opencv()


def _open_stream(options: SourceOptions) -> cv2.VideoCapture:
    # Without these a hung server blocks for 30 s.
    parameters = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        max(1, round(options.open_timeout_s * 1000)),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        max(1, round(options.read_timeout_s * 1000)),
    ]
    return cv2.VideoCapture(options.address, cv2.CAP_FFMPEG, parameters)


def _why_not(options: SourceOptions, elapsed_s: float) -> str:
    """Say why an address did not open, which OpenCV does not tell."""
    parts = urllib.parse.urlsplit(options.address)
    if parts.scheme.lower() not in _STREAMS:
        if not Path(options.address).exists():
            raise ConfigError(
                f"expected a camera, a stream, a video file or a folder, got {options.address!r}; "
                "there is no such file"
            )
        return "expected a video, OpenCV cannot decode this file"
    left_s = options.open_timeout_s - elapsed_s
    if left_s < _SHORTEST_TRY_S or not parts.hostname:
        return f"expected a stream within {options.open_timeout_s:g} s, got no answer"
    port = parts.port or _STREAMS[parts.scheme.lower()]
    try:
        socket.create_connection((parts.hostname, port), left_s).close()
    except TimeoutError:
        return f"expected a stream within {options.open_timeout_s:g} s, got no answer"
    except OSError as error:
        return f"expected a stream, {parts.hostname} port {port}: {error.strerror or error}"
    return f"expected a video stream, {parts.hostname} port {port} answers but sends none"
