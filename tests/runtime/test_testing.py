"""The simulators: a belt whose truth is true, a camera with real faults."""

import http.client
import socket
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError
from linegate_bundle.images import encode_jpeg
from linegate_runtime.testing import Belt, Direction, MjpegServer
from tests.runtime.live_support import even_picture, showing


def marked_parts(count: int, width: int = 40, height: int = 30) -> list[np.ndarray]:
    """Return parts that differ from the belt in every pixel and from each other."""
    return [np.full((height, width, 3), 10 + index, np.uint8) for index in range(count)]


@given(
    speed_px=st.floats(0.5, 30),
    gap_px=st.integers(0, 60),
    direction=st.sampled_from(Direction),
    lead_px=st.integers(-100, 200),
    index=st.integers(0, 200),
)
def test_every_part_lies_where_the_truth_says(
    speed_px: float, gap_px: int, direction: Direction, lead_px: int, index: int
) -> None:
    belt = Belt(
        marked_parts(4),
        speed_px=speed_px,
        gap_px=gap_px,
        direction=direction,
        width=160,
        height=60,
        lead_px=lead_px,
    )
    picture = belt.frame(index)
    passages = belt.passages()
    for part in range(4):
        is_there = (picture == 10 + part).all(axis=2)
        columns = np.flatnonzero(is_there.any(axis=0))
        left = belt.left_edge(part, index)
        expected = range(max(0, left), max(0, min(160, left + 40)))
        assert columns.tolist() == list(expected)
        is_whole = int(is_there.sum()) == 40 * 30
        assert is_whole == (passages[part].first <= index <= passages[part].last)


@pytest.mark.parametrize("direction", Direction)
def test_a_belt_ends_empty_and_never_earlier(direction: Direction) -> None:
    belt = Belt(marked_parts(3), speed_px=7, gap_px=20, direction=direction, width=160, height=60)
    assert (belt.frame(len(belt)) > 200).all()
    assert (belt.frame(len(belt) - 3) < 200).any()


def test_the_same_belt_gives_the_same_frames_and_its_texture_moves_with_it() -> None:
    belts = [Belt([], speed_px=5, gap_px=0) for _ in range(2)]
    assert np.array_equal(belts[0].frame(33), belts[1].frame(33))
    first, second = belts[0].frame(10), belts[0].frame(11)
    assert np.array_equal(first[:, :-5], second[:, 5:])
    assert not np.array_equal(first, second)


def test_frames_belong_to_the_caller() -> None:
    belt = Belt([], speed_px=5, gap_px=0)
    belt.frame(3)[:] = 0
    assert belt.frame(3).any()


@pytest.mark.parametrize(
    ("part_height", "speed_px", "gap_px"), [(500, 1, 0), (10, 0, 0), (10, 1, -1)]
)
def test_an_impossible_belt_is_refused(part_height: int, speed_px: float, gap_px: int) -> None:
    with pytest.raises(ConfigError, match="expected parts of at most 480 rows"):
        Belt([even_picture(1, 10, part_height)], speed_px=speed_px, gap_px=gap_px)


def test_a_frame_and_its_coding_are_fast_enough_for_a_camera() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 255, (300, 300, 3), np.uint8) for _ in range(3)]
    belt = Belt(parts, speed_px=8, gap_px=75)
    times = []
    for index in range(40, 70):
        started = time.perf_counter()
        encode_jpeg(belt.frame(index))
        times.append(time.perf_counter() - started)
    assert float(np.median(times)) < 0.01


def get(server: MjpegServer) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, 5)
    connection.request("GET", "/stream.mjpg")
    return connection.getresponse()


def receive_until(connection: socket.socket, text: bytes) -> None:
    while text not in connection.recv(4096):
        pass


def test_the_stream_is_what_cameras_send() -> None:
    with MjpegServer(showing(77)) as server, get(server) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=linegate"
        assert response.readline() == b"--linegate\r\n"
        assert response.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(response.readline().split()[1])
        assert response.readline() == b"\r\n"
        picture = cv2.imdecode(np.frombuffer(response.read(length), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape == (48, 64, 3)
        assert abs(float(picture.mean()) - 77) < 1


def test_jpeg_files_are_passed_on_as_they_are() -> None:
    content = encode_jpeg(even_picture(5), 50)

    def frame_at(seconds: float) -> bytes:
        del seconds
        return content

    with MjpegServer(frame_at) as server, get(server) as response:
        assert content in response.read(3 * len(content))


def test_time_begins_with_the_first_client_and_frames_come_at_their_rate() -> None:
    times: list[float] = []

    def frame_at(seconds: float) -> bytes:
        times.append(seconds)
        return b"\xff\xd8\xff\xd9"

    with MjpegServer(frame_at, fps=50) as server:
        assert server.seconds == 0
        time.sleep(0.1)
        started = time.monotonic()
        with get(server) as response:
            while len(times) < 26:
                response.read(40)
        elapsed = time.monotonic() - started
    assert times[0] == 0
    assert times == sorted(set(times))
    assert elapsed == pytest.approx(times[25], abs=0.2)


def test_two_clients_see_the_same_time() -> None:
    with MjpegServer(showing(1)) as server, get(server):
        time.sleep(0.2)
        with get(server) as second:
            second.read(100)
            assert server.seconds >= 0.2


def test_a_hung_server_keeps_the_connection_and_sends_nothing() -> None:
    with MjpegServer(showing(1)) as server, get(server) as response:
        response.read(10)
        server.hang()
        time.sleep(0.2)
        assert response.fp is not None
        drained = len(response.read1(1 << 20))
        assert drained > 0
        with socket.create_connection(("127.0.0.1", server.port), 1) as newcomer:
            newcomer.settimeout(0.3)
            newcomer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(TimeoutError):
                receive_until(newcomer, b"--linegate")
        server.resume()
        assert response.read(10)


def test_a_killed_server_refuses_and_a_restarted_one_serves_on_the_same_port() -> None:
    with MjpegServer(showing(1)) as server:
        address = server.address
        with get(server) as response:
            server.kill()
            assert len(response.read()) < 1 << 20
        with pytest.raises(ConnectionRefusedError):
            get(server)
        before = server.seconds
        server.restart()
        assert server.address == address
        with get(server) as response:
            assert response.read(10)
        assert server.seconds > before > 0
