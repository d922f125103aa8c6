"""A real RTSP camera on loopback that can be killed, hung and healed.

RTSP 1.0 (RFC 2326) over one TCP connection, with JPEG pictures in interleaved RTP packets
(RFC 2435); what asks for UDP is refused, as by cameras behind a firewall.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from linegate_bundle.images import encode_jpeg
from linegate_bundle.preprocess import UInt8Array

_CLOCK = 90_000
_PACKET = 1_400
_JPEG_PAYLOAD = 26
_LOOK_UP_S = 0.05
_SEND_LIMIT_S = 2.0
_OFFSET_S = 100.0
"""Cameras count from any number."""

_MARKER = 0x80


class RtspServer:
    """Serves ``rtsp://127.0.0.1:PORT/live`` while the ``with`` block runs.

    Args:
        frame_at: what the camera shows so many seconds after the start; width and height
            multiples of 16.
        fps: frames a second.
        kept: each connection begins with so many frames from before it.
        stamped_fps: the stamps say that so many frames are taken a second; None the truth.
    """

    def __init__(
        self,
        frame_at: Callable[[float], UInt8Array],
        fps: float = 30.0,
        *,
        kept: int = 0,
        stamped_fps: float | None = None,
    ) -> None:
        self._frame_at = frame_at
        self.fps, self.kept, self.stamped_fps = fps, kept, stamped_fps
        self._start = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._over = threading.Event()
        self._dead = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def kill(self) -> None:
        """Break off all connections and take no new ones."""
        self._dead.set()

    def hang(self) -> None:
        """Keep connections and take new ones, and say no more."""
        self._flowing.clear()

    def heal(self) -> None:
        """Serve again."""
        self._dead.clear()
        self._flowing.set()

    def __enter__(self) -> Self:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._flowing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _is_away(self) -> bool:
        return self._over.is_set() or self._dead.is_set()

    def _accept(self) -> None:
        while not self._over.is_set():
            if not select.select([self._listener], [], [], _LOOK_UP_S)[0]:
                continue
            connection, _ = self._listener.accept()
            # A reader that has stopped must not keep the server from ending.
            connection.settimeout(_SEND_LIMIT_S)
            if self._dead.is_set():
                connection.close()
                continue
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while not self._is_away():
                if not select.select([connection], [], [], _LOOK_UP_S)[0]:
                    continue
                request = _read_request(connection)
                if not request:
                    return
                while not self._flowing.wait(_LOOK_UP_S):
                    if self._is_away():
                        return
                connection.sendall(self._answer(request))
                if request.startswith("PLAY"):
                    self._play(connection)

    def _answer(self, request: str) -> bytes:
        method = request.partition(" ")[0]
        sequence = next(
            line.partition(":")[2].strip()
            for line in request.splitlines()
            if line.lower().startswith("cseq")
        )
        lines, body = [], ""
        status = "200 OK"
        if method == "OPTIONS":
            lines = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"]
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP {_JPEG_PAYLOAD}\r\na=framerate:{self.fps:g}\r\n"
                f"a=control:{self.address}/video\r\n"
            )
            lines = ["Content-Type: application/sdp", f"Content-Base: {self.address}/"]
        elif method == "SETUP" and "RTP/AVP/TCP" in request:
            lines = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        elif method == "SETUP":
            status = "461 Unsupported Transport"
        else:
            lines = ["Session: 1"]
        head = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *lines, f"Content-Length: {len(body)}"]
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    def _play(self, connection: socket.socket) -> None:
        begun = time.monotonic() - self.kept / self.fps
        number = sequence = 0
        while not self._is_away():
            due = begun + number / self.fps
            time.sleep(max(0.0, due - time.monotonic()))
            while not self._flowing.wait(_LOOK_UP_S):
                if self._is_away():
                    return
            # What was kept or held back is sent as fast as it goes, each picture as it was then.
            jpeg = encode_jpeg(self._frame_at(due - self._start), 90)
            counted_s = number / (self.stamped_fps or self.fps)
            for packet in _packets(jpeg, round((counted_s + _OFFSET_S) * _CLOCK), sequence):
                connection.sendall(b"$\x00" + struct.pack(">H", len(packet)) + packet)
                sequence = (sequence + 1) & 0xFFFF
            number += 1


def _read_request(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        content = connection.recv(4096)
        if not content:
            return ""
        received += content
    return received.decode()


def _packets(jpeg: bytes, stamp: int, sequence: int) -> list[bytes]:
    """Return the RTP packets of a picture, RFC 2435 with the picture's own tables."""
    tables, scan, width, height = _take_apart(jpeg)
    pieces = [scan[start : start + _PACKET] for start in range(0, len(scan), _PACKET)]
    packets = []
    offset = 0
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1
        kind = _JPEG_PAYLOAD | (_MARKER if is_last else 0)
        head = struct.pack(
            ">BBHII", 0x80, kind, (sequence + number) & 0xFFFF, stamp & 0xFFFFFFFF, 7
        )
        # Type 1 is 4:2:0; quality 255 says that the tables come with each picture.
        head += struct.pack(">IBBBB", offset, 1, 255, width // 8, height // 8)
        if number == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        packets.append(head + piece)
        offset += len(piece)
    return packets


def _take_apart(jpeg: bytes) -> tuple[bytes, bytes, int, int]:
    """Return the quantization tables, the coded scan, width and height of a JPEG file."""
    tables = b""
    width = height = 0
    position = 2
    while True:
        marker, length = (
            jpeg[position + 1],
            int.from_bytes(jpeg[position + 2 : position + 4], "big"),
        )
        content = jpeg[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xDB:
            tables += b"".join(content[at + 1 : at + 65] for at in range(0, len(content), 65))
        elif marker == 0xC0:
            height, width = struct.unpack(">HH", content[1:5])
        elif marker == 0xDA:
            return tables, jpeg[position:-2], width, height
