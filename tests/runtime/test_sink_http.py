"""The sink http against a real server that fails on purpose."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.sinks import SINKS
from linegate_runtime.sinks.http import HttpOptions, HttpSink
from linegate_runtime.sinks.signature import HEADER, sign, verify_signature
from tests.broker import free_port, make_certificates
from tests.runtime.http_support import Answer, Handler, Server, drip, hang_up, say, served
from tests.runtime.sink_support import recorded

SECRET = "correct horse battery staple"  # noqa: S105


@pytest.fixture
def server() -> Iterator[Server]:
    with served(Server()) as one:
        yield one


@contextlib.contextmanager
def sink_at(url: str, **options: Any) -> Iterator[HttpSink]:
    given = HttpOptions(url=url, **({"timeout_s": 5.0} | options))
    assert given.problems() == {}
    sink = HttpSink(given)
    try:
        yield sink
    finally:
        sink.close()


def test_it_is_registered() -> None:
    assert SINKS.load("http") is HttpSink


def test_parts_are_posted_one_by_one_over_one_connection(server: Server) -> None:
    with sink_at(server.url + "?line=7", headers={"Authorization": "Bearer t0ken"}) as sink:
        for number in (1, 2, 3):
            sink.deliver([recorded(number)])
    assert server.connections == 1
    assert [msgspec.json.decode(one.body)["part"] for one in server.requests] == [1, 2, 3]
    first = server.requests[0]
    assert first.path == "/parts?line=7"
    assert first.headers["Idempotency-Key"] == recorded(1).row.uuid
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Authorization"] == "Bearer t0ken"
    assert first.headers["Host"] == f"127.0.0.1:{server.server_port}"
    assert HEADER not in first.headers


def test_an_own_text_is_sent_with_its_type(server: Server) -> None:
    with sink_at(server.url, payload="{part} {label}", content_type="text/plain") as sink:
        sink.deliver([recorded(5)])
    assert server.requests[0].body == b"5 bright"
    assert server.requests[0].headers["Content-Type"] == "text/plain"


def test_a_receiver_can_check_who_sent_a_request(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    with sink_at(server.url, secret_file=path) as sink:
        sink.deliver([recorded(1)])
    request, now = server.requests[0], time.time()
    signature = request.headers[HEADER]
    assert verify_signature(SECRET.encode(), signature, request.body, now)
    assert not verify_signature(b"another", signature, request.body, now)
    assert not verify_signature(SECRET.encode(), signature, request.body + b" ", now)


def test_a_signature_is_of_one_time_and_no_other() -> None:
    secret, body = SECRET.encode(), b'{"part":1}'
    header = sign(secret, body, 1_000_000.9)
    assert header.startswith("t=1000000,v1=")
    for now, is_good in ((1_000_300, True), (1_000_301, False), (999_699, False)):
        assert verify_signature(secret, header, body, now, tolerance_s=300) is is_good
    renewed = header.replace("t=1000000", "t=1000600")
    assert not verify_signature(secret, renewed, body, 1_000_600)
    rotated = header.replace(",", ",v1=00,")
    assert verify_signature(secret, rotated, body, 1_000_000)


@pytest.mark.parametrize(
    "header", ["", "t=,v1=", "t=1", "v1=00", "t=1,t=1,v1=00", "t=\u0661,v1=00", "t=" + "9" * 5000]
)
def test_headers_that_are_no_signature_are_refused(header: str) -> None:
    assert not verify_signature(b"secret", header, b"", 1.0)


def test_every_attempt_is_signed_anew(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = [say(503)]
    with sink_at(server.url, secret=SECRET) as sink:
        with pytest.raises(OutputError):
            sink.deliver([recorded(1)])
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        sink.deliver([recorded(1)])
    first, second = (one.headers[HEADER] for one in server.requests)
    assert first != second


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 409])
def test_these_answers_say_that_the_receiver_has_it(server: Server, status: int) -> None:
    server.answers = [say(status)]
    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        sink.deliver([recorded(2)])
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_after_these_answers_the_part_is_sent_again(server: Server, status: int) -> None:
    server.answers = [say(status, b"in maintenance")]
    with sink_at(server.url) as sink:
        with pytest.raises(OutputError, match=rf"cannot take it now: {status}.*in maintenance"):
            sink.deliver([recorded(1)])
        sink.deliver([recorded(1)])
    keys = [one.headers["Idempotency-Key"] for one in server.requests]
    assert keys == [recorded(1).row.uuid] * 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_these_answers_are_told_as_refusals(server: Server, status: int) -> None:
    server.answers = [say(status, b"x" * 5000)]
    with sink_at(server.url) as sink, pytest.raises(OutputError) as caught:
        sink.deliver([recorded(1)])
    text = str(caught.value)
    assert f"refuses it: {status} " in text
    assert "check url" in text
    assert "x" * 200 in text
    assert "x" * 201 not in text


def test_what_a_server_repeats_of_secrets_is_not_told(server: Server) -> None:
    server.answers = [say(403, f"no: {SECRET}, not Bearer t0ken-1 \x1b[2J".encode())]
    headers = {"Authorization": "Bearer t0ken-1"}
    with (
        sink_at(server.url + "?key=k3y", secret=SECRET, headers=headers) as sink,
        pytest.raises(OutputError, match=r"no: \*\*\*") as caught,
    ):
        sink.deliver([recorded(1)])
    for secret in (SECRET, "t0ken-1", "k3y", "\x1b"):
        assert secret not in str(caught.value)


def test_redirects_are_not_followed(server: Server) -> None:
    with served(Server()) as other:
        server.answers = [say(307, Location=other.url + "?key=1")]
        with (
            sink_at(server.url) as sink,
            pytest.raises(OutputError, match=r"307.*redirects are not followed.*/parts is right"),
        ):
            sink.deliver([recorded(1)])
        assert other.requests == []


def test_a_part_that_was_acknowledged_is_not_sent_again(server: Server) -> None:
    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        sink.deliver([recorded(1)])
    assert len(server.requests) == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(server: Server) -> None:
    def answer_and_hang_up(handler: Handler) -> None:
        say(200)(handler)
        handler.close_connection = True  # without saying so

    server.answers = [answer_and_hang_up]
    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        time.sleep(0.05)
        sink.deliver([recorded(2)])
    assert [msgspec.json.decode(one.body)["part"] for one in server.requests] == [1, 2]
    assert server.connections == 2


def test_a_server_that_hangs_up_each_time_is_asked_twice_at_most(server: Server) -> None:
    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        server.answers = [hang_up, hang_up, hang_up]
        with pytest.raises(OutputError, match="check the address and that it runs"):
            sink.deliver([recorded(2)])
    assert len(server.requests) == 3


def test_a_request_whose_answer_began_is_not_repeated(server: Server) -> None:
    def begin_and_hang_up(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 2")
        handler.close_connection = True

    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        server.answers = [begin_and_hang_up]
        with pytest.raises(OutputError):
            sink.deliver([recorded(2)])
    assert len(server.requests) == 2


@pytest.mark.parametrize("slow", [drip, lambda _: time.sleep(1.5)])
def test_the_time_is_for_the_whole_request(server: Server, slow: Answer) -> None:
    server.answers = [slow]
    with sink_at(server.url, timeout_s=0.4) as sink:
        begun = time.monotonic()
        with pytest.raises(OutputError, match=r"no whole answer within 0\.4 s"):
            sink.deliver([recorded(1)])
        assert time.monotonic() - begun < 1.0
        sink.deliver([recorded(1)])


def test_an_answer_without_end_is_read_to_a_bound_and_counts(server: Server) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**9))
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                handler.wfile.write(b"x" * 65536)
        handler.close_connection = True

    server.answers = [endless]
    with sink_at(server.url) as sink:
        sink.deliver([recorded(1)])
        sink.deliver([recorded(2)])
    assert len(server.requests) == 2


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9\r\n", b"\x00\xff\x00\xff\r\n\r\n"])
def test_what_is_no_web_server_is_told(server: Server, said: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(said)
        handler.close_connection = True

    server.answers = [answer]
    with (
        sink_at(server.url) as sink,
        pytest.raises(OutputError, match=r"expected an answer in HTTP, got BadStatusLine"),
    ):
        sink.deliver([recorded(1)])


def test_a_server_that_is_away_is_told_and_found_when_it_comes() -> None:
    port = free_port()
    with sink_at(f"http://127.0.0.1:{port}/") as sink:
        for _ in range(2):
            with pytest.raises(OutputError, match="Connection refused; check the address"):
                sink.deliver([recorded(1)])


def test_closing_ends_a_request_that_waits(server: Server) -> None:
    server.answers = [lambda _: time.sleep(2)]
    with sink_at(server.url, timeout_s=60.0) as sink:
        ended: list[OutputError] = []

        def deliver() -> None:
            try:
                sink.deliver([recorded(1)])
            except OutputError as error:
                ended.append(error)

        thread = threading.Thread(target=deliver)
        thread.start()
        time.sleep(0.2)
        begun = time.monotonic()
        sink.close()
        thread.join(1.0)
        assert time.monotonic() - begun < 1.0
        assert len(ended) == 1
        sink.close()
        with pytest.raises(OutputError, match="the sink was closed"):
            sink.deliver([recorded(2)])


def test_closing_ends_a_connection_that_is_being_made() -> None:
    # A queue for connections that is full: the next one is not answered.
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        with sink_at(f"http://127.0.0.1:{port}/", timeout_s=1.5) as sink:
            ended: list[OutputError] = []

            def deliver() -> None:
                try:
                    sink.deliver([recorded(1)])
                except OutputError as error:
                    ended.append(error)

            thread = threading.Thread(target=deliver)
            thread.start()
            time.sleep(0.1)
            begun = time.monotonic()
            sink.close()
            thread.join(1.0)
            assert time.monotonic() - begun < 0.5
            assert "closed" in str(ended[0])
        deadline = time.monotonic() + 5
        while any(one.name == "http" for one in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_through_tls_the_server_is_checked(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    server = Server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.server, files.server_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http", "https")
    with served(server):
        with sink_at(url, ca=files.ca) as sink:
            for number in range(1, 4):
                sink.deliver([recorded(number)])
        assert server.connections == 1
        with (
            sink_at(url) as sink,
            pytest.raises(OutputError, match="certificate is not trusted"),
        ):
            sink.deliver([recorded(1)])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": "ftp://host/"}, "url"),
        ({"url": "host/parts"}, "url"),
        ({"url": "http:///parts"}, "url"),
        ({"url": "http://host:99999/"}, "url"),
        ({"url": "http://user:hidden-one@host/"}, "url"),
        ({"url": "http://user:hidden-one/"}, "url"),
        ({"url": "http://host/a b"}, "url"),
        ({"url": "http://host/\r\nX: y"}, "url"),
        ({"secret": "hidden-one", "secret_file": Path(__file__)}, "secret_file"),
        ({"secret_file": Path("/nowhere")}, "secret_file"),
        ({"url": "https://host/", "ca": Path("/nowhere")}, "ca"),
        ({"ca": Path(__file__)}, "ca"),
        ({"headers": {"A b": "c"}}, "headers"),
        ({"headers": {"A": "hidden-one\r\n"}}, "headers"),
        ({"headers": {"content-length": "1"}}, "headers"),
        ({"content_type": "a\nb"}, "content_type"),
        ({"payload": "{part!r}"}, "payload"),
    ],
)
def test_options_that_cannot_work_are_named(options: dict[str, Any], key: str) -> None:
    problems = HttpOptions(**({"url": "http://host/"} | options)).problems()
    assert list(problems) == [key]
    assert "expected " in problems[key]
    assert ", got " in problems[key]
    assert "hidden-one" not in str(problems)


def test_a_secret_that_is_empty_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\n")
    with pytest.raises(ConfigError, match="expected a secret, got an empty file"):
        HttpSink(HttpOptions(url="http://host/", secret_file=path))
