"""MJPEG over HTTP: the parser against anything, the source against bad servers."""

import base64
import contextlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import CameraError, ConfigError
from linegate_bundle.images import decode_image, encode_jpeg
from linegate_runtime.sources import Source
from linegate_runtime.sources.multipart import (
    LARGEST_HEAD,
    LARGEST_PART,
    MultipartParser,
    boundary_of,
    parse_answer,
)
from tests.runtime.live_support import even_picture
from tests.runtime.test_sources import MULTIPART, PAGE, Replies, open_source

BODIES = st.lists(st.binary(max_size=200), max_size=5)
CUTS = st.lists(st.integers(1, 50), max_size=40)
# A boundary of dashes alone cannot be told from the dashes around it.
BOUNDARIES = st.from_regex(rb"[A-Za-z0-9'+_,./:=?][A-Za-z0-9'+_,./:=?-]{0,39}", fullmatch=True)


def part(body: bytes, boundary: bytes = b"frame") -> bytes:
    head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return head % (boundary, len(body)) + body + b"\r\n"


def feed_in_pieces(parser: MultipartParser, content: bytes, cuts: list[int]) -> list[bytes]:
    parts: list[bytes] = []
    for length in cuts:
        parts += parser.feed(content[:length])
        content = content[length:]
    return parts + parser.feed(content)


@given(BODIES, CUTS, BOUNDARIES)
def test_parts_come_out_as_they_went_in_however_the_network_cuts_them(
    bodies: list[bytes], cuts: list[int], boundary: bytes
) -> None:
    content = b"".join(part(body, boundary) for body in bodies)
    assert feed_in_pieces(MultipartParser(boundary), content, cuts) == bodies


@given(BODIES, CUTS)
def test_parts_without_a_length_end_at_the_next_boundary(
    bodies: list[bytes], cuts: list[int]
) -> None:
    bodies = [body.replace(b"\n", b"").rstrip(b"\r") for body in bodies]
    content = b"".join(b"--frame\r\n\r\n" + body + b"\r\n" for body in bodies) + b"--frame--"
    parser = MultipartParser(b"frame")
    assert feed_in_pieces(parser, content, cuts) == bodies
    assert parser.is_over


@pytest.mark.parametrize("declared", [b"frame", b"--frame"])
@pytest.mark.parametrize("sent", [b"frame", b"--frame"])
def test_cameras_that_count_the_dashes_into_the_boundary_are_understood(
    declared: bytes, sent: bytes
) -> None:
    parser = MultipartParser(declared)
    if declared == b"frame" and sent == b"--frame":
        with pytest.raises(CameraError, match="expected the boundary"):
            parser.feed(part(b"one", sent))
    else:
        assert parser.feed(part(b"one", sent) + part(b"two", sent)) == [b"one", b"two"]


@given(st.binary(max_size=400), CUTS)
def test_no_bytes_break_the_parser(content: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(CameraError):
        feed_in_pieces(MultipartParser(b"frame"), content, cuts)


@given(BODIES.filter(bool), st.data())
def test_no_damage_to_a_stream_breaks_the_parser(bodies: list[bytes], data: st.DataObject) -> None:
    content = bytearray(b"".join(part(body) for body in bodies))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CameraError):
        parts = MultipartParser(b"frame").feed(bytes(content))
        assert sum(map(len, parts)) <= len(content)


@pytest.mark.parametrize(
    "content",
    [
        b"--frame\r\n" + b"A: b\r\n" * LARGEST_HEAD,
        b"--frame\r\n\r\n" + b"x" * (LARGEST_PART + 1),
        b"--frame\r\nContent-Length: 99999999999\r\n\r\n",
        b"--frame\r\nContent-Length: -1\r\n\r\n",
        b"--frame\r\nContent-Length: %d\r\n\r\n" % (LARGEST_PART + 1),
    ],
    ids=["endless head", "endless body", "long number", "negative", "too large"],
)
def test_sizes_are_bounded(content: bytes) -> None:
    with pytest.raises(CameraError, match="at most"):
        MultipartParser(b"frame").feed(content)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_answer_parser(content: bytes) -> None:
    with contextlib.suppress(CameraError):
        boundary_of(parse_answer(content))


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", b"frame"),
        ('multipart/x-mixed-replace;boundary="a b"', b"a b"),
        ("Multipart/X-Mixed-Replace; Boundary=--x; charset=utf-8", b"--x"),
    ],
)
def test_the_boundary_is_read_as_cameras_write_it(kind: str, boundary: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-type: {kind}"
    assert boundary_of(parse_answer(head.encode())) == boundary


def open_stream(
    address: str, *, open_timeout_s: float = 5.0, read_timeout_s: float = 2.0
) -> Source:
    return open_source(
        "mjpeg", address, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s
    )


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "expected a stream, got HTTP 404 Not Found"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "got HTTP 401 Unauthorized"),
        (PAGE, "expected an MJPEG stream .*, got text/html; .*try the source opencv"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "expected an HTTP answer, got b'SSH-2.0"),
        (MULTIPART + b"GIF89a" * 9, "expected the boundary b'--frame', got b'GIF89a"),
        (MULTIPART + b"--frame--\r\n", "the camera ended the stream"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 99999, "head of at most"),
    ],
)
def test_what_a_server_sends_instead_of_a_stream_is_said(reply: bytes, message: str) -> None:
    with Replies(reply) as server, pytest.raises(CameraError, match=message):
        open_stream(server.address, open_timeout_s=2)


def test_a_server_that_dribbles_does_not_stretch_the_time_out() -> None:
    started = time.monotonic()
    with (
        Replies(*[b"H"] * 8, gap_s=0.1) as server,
        pytest.raises(CameraError, match=r"within 0\.5 s, got no answer"),
    ):
        open_stream(server.address, open_timeout_s=0.5)
    assert time.monotonic() - started < 3


def test_the_picture_is_the_one_that_the_offline_decoder_gives() -> None:
    rng = np.random.default_rng(0)
    content = encode_jpeg(rng.integers(0, 256, (48, 64, 3), np.uint8))
    with Replies(MULTIPART + part(content)) as server:
        stream = open_stream(server.address)
        captured = stream.read()
        stream.close()
    assert captured is not None
    assert np.array_equal(captured.pixels, decode_image(content))


def test_a_picture_cut_short_is_never_shown() -> None:
    pictures = [encode_jpeg(even_picture(value)) for value in (10, 20, 30)]
    pictures[1] = pictures[1][: len(pictures[1]) // 2]
    replies = [MULTIPART, *(part(content) for content in pictures)]
    with Replies(*replies, gap_s=0.2) as server:
        stream = open_stream(server.address)
        means = []
        for _ in range(2):
            captured = stream.read()
            assert captured is not None
            means.append(round(float(captured.pixels.mean())))
        stream.close()
    assert means == [10, 30]


def test_a_stream_of_damaged_pictures_only_is_lost_in_time() -> None:
    whole, cut = encode_jpeg(even_picture(10)), encode_jpeg(even_picture(10))[:-30]
    with Replies(MULTIPART + part(whole), *[part(cut)] * 5, gap_s=0.1) as server:
        stream = open_stream(server.address, read_timeout_s=0.5)
        assert stream.read() is not None
        with pytest.raises(CameraError, match=r"got only damaged ones: .*cut short"):
            stream.read()
        stream.close()


def test_a_slow_reader_gets_the_newest_picture() -> None:
    pictures = [part(encode_jpeg(even_picture(value))) for value in range(0, 200, 20)]
    with Replies(MULTIPART + pictures[0], *pictures[1:], gap_s=0.02) as server:
        stream = open_stream(server.address)
        assert stream.read() is not None
        time.sleep(0.5)
        captured = stream.read()
        stream.close()
    assert captured is not None
    assert round(float(captured.pixels.mean())) == 180


def test_path_query_and_credentials_are_sent() -> None:
    content = part(encode_jpeg(even_picture(1)))
    with Replies(MULTIPART + content) as server:
        address = (
            server.address.replace("127", "us%40er:pa%3Ass@127") + "axis/video.cgi?fps=30&x= y"
        )
        open_stream(address).close()
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /axis/video.cgi?fps=30&x=%20y HTTP/1.0"
    assert "@" not in lines[1]
    assert f"Authorization: Basic {base64.b64encode(b'us@er:pa:ss').decode()}" in lines


@pytest.mark.parametrize("address", ["http://", "http://host:99999/", "rtsp://host/", "0"])
def test_an_address_that_cannot_be_a_stream_is_a_configuration_error(address: str) -> None:
    with pytest.raises(ConfigError, match="expected an address"):
        open_stream(address)
