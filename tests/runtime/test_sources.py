"""Sources: one contract for all, and what each does when the camera misbehaves."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import pytest

from linegate_bundle.errors import CameraError, ConfigError, DataError
from linegate_runtime.recording import RecordingWriter
from linegate_runtime.sources import SOURCES, Source, SourceOptions, source_for
from linegate_runtime.testing import MjpegServer
from tests.runtime.live_support import even_picture, showing
from tests.runtime.standins import install_picamera2

PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
MULTIPART = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc("M", "J", "P", "G"), 25, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(even_picture(20 * index))
    writer.release()
    return path


def write_pictures(folder: Path, frames: int) -> Path:
    folder.mkdir()
    for index in range(frames):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), even_picture(20 * index))
    return folder


def write_recording(folder: Path, frames: int) -> Path:
    with RecordingWriter(folder) as writer:
        for index in range(frames):
            writer.append(even_picture(20 * index), 10_000_000 * index)
    return folder


def open_source(
    name: str, address: str, *, open_timeout_s: float = 5.0, read_timeout_s: float = 2.0
) -> Source:
    options = SourceOptions(
        address=address, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s
    )
    return SOURCES.load(name)(options)


def read_all(source: Source) -> list[int]:
    """Read to the end and return each frame's brightness."""
    means = []
    while (captured := source.read()) is not None:
        means.append(round(float(captured.pixels.mean())))
    return means


KINDS = ["mjpeg stream", "opencv stream", "opencv video", "picamera2", "folder", "replay", "fake"]


def address_of(kind: str, folder: Path) -> str:
    """Return an address without a server for a kind of source, and make what stands there."""
    match kind:
        case "opencv video":
            return str(write_video(folder / "video.avi", 5))
        case "folder":
            return str(write_pictures(folder / "pictures", 5))
        case "replay":
            return str(write_recording(folder / "recording", 5))
        case "picamera2":
            return "csi:0"
        case _:
            return "64x48@50"


@pytest.fixture(params=KINDS)
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Source]:
    kind = request.param
    name = kind.partition(" ")[0]
    with contextlib.ExitStack() as stack:
        if kind.endswith("stream"):
            server = MjpegServer(lambda seconds: even_picture(min(255, round(seconds * 30) * 3)))
            address = stack.enter_context(server).address
        else:
            install_picamera2(monkeypatch, sizes=[[64, 48]])
            address = address_of(kind, tmp_path)
        opened = open_source(name, address)
        yield opened
        opened.close()


def test_every_registered_source_is_under_the_contract() -> None:
    assert SOURCES.names() == ["fake", "folder", "mjpeg", "opencv", "picamera2", "replay"]
    assert {kind.partition(" ")[0] for kind in KINDS} == set(SOURCES.names())


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("fake", "64x48@50"),
        ("folder", "pictures"),
        ("mjpeg", "http://127.0.0.1:1/"),
        ("opencv", "rtsp://127.0.0.1:1/"),
        ("opencv", "video.mp4"),
    ],
)
def test_contract_settings_that_cannot_be_set_are_refused_before_anything_is_opened(
    name: str, address: str
) -> None:
    options = SourceOptions(address=address, exposure_us=1000, gain=2, white_balance_k=5000)
    with pytest.raises(
        ConfigError,
        match=r"exposure_us: .* cannot set it \(it can set none of these\).*gain:.*white_balance_k",
    ):
        SOURCES.load(name)(options)


@pytest.mark.parametrize(
    ("name", "address"), [("opencv", "0"), ("opencv", "/dev/video0"), ("picamera2", "csi:0")]
)
def test_contract_a_camera_on_the_machine_can_set_its_light(name: str, address: str) -> None:
    assert SOURCES.load(name).settable(address) == {"exposure_us", "gain", "white_balance_k"}


def test_contract_frames_are_bgr_bytes_in_their_order_and_time(source: Source) -> None:
    times: list[int] = []
    brightness: list[float] = []
    for _ in range(3):
        captured = source.read()
        assert captured is not None
        assert captured.pixels.shape == (48, 64, 3)
        assert captured.pixels.dtype == np.uint8
        times.append(captured.monotonic_ns)
        brightness.append(float(captured.pixels.mean()))
    times.append(time.monotonic_ns())
    assert times == sorted(times)
    assert brightness == sorted(brightness)
    assert brightness[0] < brightness[2]


def test_contract_closing_twice_does_no_harm(source: Source) -> None:
    source.close()
    source.close()


@pytest.mark.parametrize("name", ["folder", "opencv", "replay"])
def test_what_has_an_end_gives_every_frame_once_and_then_none(name: str, tmp_path: Path) -> None:
    write = {"folder": write_pictures, "opencv": write_video, "replay": write_recording}[name]
    address = write(tmp_path / ("video.avi" if name == "opencv" else "frames"), 4)
    assert not SOURCES.load(name).is_live(str(address))
    opened = open_source(name, str(address))
    assert read_all(opened) == pytest.approx([0, 20, 40, 60], abs=1)
    assert opened.read() is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://127.0.0.1:1/stream.mjpg", "mjpeg"),
        ("HTTPS://camera/stream", "opencv"),
        ("rtsp://camera/1", "opencv"),
        ("0", "opencv"),
        ("/dev/video0", "opencv"),
        ("recording.mp4", "opencv"),
        ("csi", "picamera2"),
        ("csi:1", "picamera2"),
    ],
)
def test_an_address_finds_its_source(address: str, name: str) -> None:
    assert source_for(address) == name
    assert SOURCES.load(name).is_live(address) == (address != "recording.mp4")


def test_a_folder_is_read_by_the_folder_source(tmp_path: Path) -> None:
    assert source_for(str(tmp_path)) == "folder"


def test_what_cannot_be_looked_at_is_left_to_the_source_to_complain_of() -> None:
    # Nobody can be kept from looking here, for tests may run as root; no name is so long.
    assert source_for("x" * 300) == "opencv"


@pytest.mark.parametrize("name", ["mjpeg", "opencv"])
def test_a_port_where_nothing_listens_is_said_at_once(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(CameraError, match=f"port {port}: Connection refused"):
        open_source(name, f"http://127.0.0.1:{port}/", open_timeout_s=5)
    assert time.monotonic() - started < 2


class Replies:
    """A server that answers every request with fixed bytes and then holds the line.

    Attributes:
        requests: what clients asked.
    """

    def __init__(self, *replies: bytes, gap_s: float = 0.0) -> None:
        self._replies = replies
        self._gap_s = gap_s
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            if any(self._replies):
                self.requests.append(connection.recv(4096))
            for reply in self._replies:
                with contextlib.suppress(OSError):
                    connection.sendall(reply)
                time.sleep(self._gap_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()
        self._thread.join()
        # One may have come while the others were closed.
        self._hang_up()

    def _hang_up(self) -> None:
        for connection in self._connections:
            connection.close()


@pytest.mark.parametrize("name", ["mjpeg", "opencv"])
@pytest.mark.parametrize(
    "reply", [b"", MULTIPART], ids=["accepts and says nothing", "sends a header and no frame"]
)
def test_a_camera_that_does_not_answer_is_given_up_in_time(name: str, reply: bytes) -> None:
    started = time.monotonic()
    with (
        Replies(reply) as server,
        pytest.raises(CameraError, match=r"expected a stream within 0\.6 s, got no answer"),
    ):
        open_source(name, server.address, open_timeout_s=0.6)
    assert 0.5 < time.monotonic() - started < 1.5


def test_opencv_says_that_a_page_is_no_stream() -> None:
    with (
        Replies(PAGE) as server,
        pytest.raises(CameraError, match=r"answers but sends none|got no answer"),
    ):
        open_source("opencv", server.address, open_timeout_s=1.0)


@pytest.mark.parametrize("name", ["mjpeg", "opencv"])
def test_a_stream_that_falls_silent_is_lost_in_time(name: str) -> None:
    with MjpegServer(showing(100)) as server:
        opened = open_source(name, server.address, read_timeout_s=0.5)
        assert opened.read() is not None
        server.hang()
        started = time.monotonic()
        with pytest.raises(CameraError, match=r"within 0\.5 s, the stream .*fell silent"):
            read_all(opened)
        assert time.monotonic() - started < 1.5
        opened.close()


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        ("opencv", "no/such/video.mp4", "there is no such file"),
        ("folder", "no/such/folder", "expected a folder of images"),
        ("fake", "640x480", "expected WIDTHxHEIGHT@FPS"),
        ("fake", "0x480@30", "expected WIDTHxHEIGHT@FPS"),
    ],
)
def test_an_address_that_means_nothing_is_a_configuration_error(
    name: str, address: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(name, address)


def test_a_folder_without_images_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds none"):
        open_source("folder", str(tmp_path))


def test_a_picture_cut_short_is_a_data_error_that_names_it(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 2)
    path = folder / "001.png"
    path.write_bytes(path.read_bytes()[:-20])
    opened = open_source("folder", str(folder))
    assert opened.read() is not None
    with pytest.raises(DataError, match=r"001\.png.*cut short"):
        opened.read()


def test_a_video_that_cannot_be_decoded_is_said(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(CameraError, match="cannot decode"):
        open_source("opencv", str(path))


def test_a_slow_reader_of_the_fake_camera_misses_frames() -> None:
    opened = open_source("fake", "8x8@100")
    first = opened.read()
    assert first is not None
    index = int(first.pixels[0, 0, 0])
    time.sleep(0.1)
    later = opened.read()
    assert later is not None
    assert int(later.pixels[0, 0, 0]) - index >= 9


def test_the_fake_camera_can_be_lost() -> None:
    opened = open_source("fake", "8x8@100#2")
    assert opened.read() is not None
    assert opened.read() is not None
    with pytest.raises(CameraError, match="gives only 2"):
        opened.read()
