"""What a service manager hears, over real sockets, of a real ``linegate run``."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate_runtime.record import Access, Record
from linegate_runtime.service_manager import ServiceManager
from tests.record_run import line, wait_for, write_config

WATCHDOG_S = 0.4


class Listener:
    """Hears what a service tells."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return everything that has come so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        return self.heard

    def has(self, start: str) -> bool:
        """Say whether something has come that starts so."""
        return any(message.startswith(start) for message in self.listen())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with contextlib.closing(Listener(str(tmp_path / "notify"))) as listener:
        yield listener


def environment(address: str, watchdog_s: float | None = WATCHDOG_S) -> dict[str, str]:
    values = {**os.environ, "NOTIFY_SOCKET": address}
    if watchdog_s is not None:
        values["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
    return values


def test_a_line_says_that_it_is_ready_alive_and_how_it_does_and_that_it_ends(
    tmp_path: Path, bundle_path: Path, listener: Listener
) -> None:
    config = write_config(tmp_path, tmp_path / "parts.sqlite", [])
    address = str(tmp_path / "notify")
    log = tmp_path / "log.txt"
    with line(bundle_path, config, environment=environment(address), log=log) as process:
        wait_for(lambda: listener.has("STATUS="))
        wait_for(lambda: listener.listen().count("WATCHDOG=1") >= 8)
        process.terminate()
        assert process.wait(20) == 0
    heard = listener.listen()
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    (first, *_) = [message for message in heard if message.startswith("STATUS=")]
    assert "frames/s" in first
    assert "parts" in first
    # What the manager shows is not written to a log, which may be on a memory card, as well.
    assert "frames/s" not in log.read_text()


def test_a_line_whose_camera_gives_nothing_is_ready_and_says_what_is_wrong(
    tmp_path: Path, bundle_path: Path, listener: Listener
) -> None:
    config = tmp_path / "line.toml"
    config.write_text(
        f'bundle = "{bundle_path}"\n'
        '[camera]\naddress = "http://127.0.0.1:9/none.mjpg"\n'
        '[trigger]\nkind = "continuous"\n[engine]\nname = "fake"\n'
    )
    address = str(tmp_path / "notify")
    command = [sys.executable, "-m", "linegate_runtime", "run", "--config", str(config)]
    with subprocess.Popen(
        command, env=environment(address), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            wait_for(lambda: listener.has("READY=1"))
            wait_for(lambda: any("gives no frames" in message for message in listener.listen()))
            wait_for(lambda: listener.listen().count("WATCHDOG=1") >= 4)
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_a_line_that_hangs_does_not_say_that_it_is_alive(
    tmp_path: Path, bundle_path: Path, listener: Listener
) -> None:
    config = write_config(tmp_path, tmp_path / "parts.sqlite", [])
    with line(bundle_path, config, environment=environment(str(tmp_path / "notify"))) as process:
        wait_for(lambda: listener.has("WATCHDOG=1"))
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        listener.listen()
        before = len(listener.heard)
        time.sleep(2 * WATCHDOG_S)
        assert len(listener.listen()) == before


def test_a_line_goes_on_when_its_manager_is_gone(
    tmp_path: Path, bundle_path: Path, listener: Listener
) -> None:
    record = tmp_path / "parts.sqlite"
    config = write_config(tmp_path, record, [])
    with line(bundle_path, config, environment=environment(str(tmp_path / "notify"))) as process:
        wait_for(lambda: listener.has("WATCHDOG=1"))
        listener.close()

        def parts() -> int:
            with Record(record, Access.READ) as opened:
                return sum(1 for _ in opened.rows())

        before = parts()
        wait_for(lambda: parts() > before + 5)
        process.terminate()
        assert process.wait(20) == 0


def test_names_in_the_abstract_namespace_are_heard_too() -> None:
    address = f"@linegate-test-{os.getpid()}"
    with (
        contextlib.closing(Listener(address)) as listener,
        contextlib.closing(ServiceManager(address)) as manager,
    ):
        manager.tell("two\nlines")
        assert listener.listen() == ["STATUS=two lines"]


@pytest.mark.parametrize(
    ("values", "is_there", "beats"),
    [
        ({}, False, False),
        ({"NOTIFY_SOCKET": ""}, False, False),
        ({"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000"}, False, False),
        ({"NOTIFY_SOCKET": "PATH"}, True, False),
        ({"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "0"}, True, False),
        ({"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "soon"}, True, False),
        ({"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "1000"}, True, True),
        ({"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, True, False),
        ({"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "OWN"}, True, True),
    ],
)
def test_the_environment_says_who_listens_and_is_not_handed_on(
    tmp_path: Path, listener: Listener, values: dict[str, str], *, is_there: bool, beats: bool
) -> None:
    own = {"PATH": str(tmp_path / "notify"), "OWN": str(os.getpid())}
    given = {"HOME": "/"} | {key: own.get(value, value) for key, value in values.items()}
    with contextlib.closing(ServiceManager.of(given)) as manager:
        assert given == {"HOME": "/"}
        assert manager.is_there is is_there
        manager.beat()
    assert listener.has("WATCHDOG=1") is beats


def test_a_manager_that_does_not_take_messages_delays_nobody(
    tmp_path: Path, listener: Listener
) -> None:
    del listener
    with contextlib.closing(ServiceManager(str(tmp_path / "notify"))) as manager:
        for _ in range(10_000):
            manager.tell("more than the socket holds")


def full(address: str) -> None:
    """Send to a socket until it takes nothing more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.sendto(b"of another service", address)


def beat_for_a_while(manager: ServiceManager) -> None:
    for _ in range(30):
        manager.beat()
        time.sleep(0.02)


@pytest.mark.parametrize("watchdog_s", [None, WATCHDOG_S])
def test_what_a_full_socket_did_not_take_is_told_until_it_does(
    tmp_path: Path, listener: Listener, watchdog_s: float | None
) -> None:
    address = str(tmp_path / "notify")
    full(address)
    with contextlib.closing(ServiceManager(address, watchdog_s)) as manager:
        manager.ready()
        for status in ("old", "new"):
            manager.tell(status)
        assert not listener.has("READY=1")
        beat_for_a_while(manager)
        heard = [one for one in listener.listen() if one.startswith(("READY", "STATUS"))]
        assert heard == ["READY=1", "STATUS=new"]
        assert listener.has("WATCHDOG=1") is (watchdog_s is not None)


def test_a_service_that_ends_says_nothing_else_any_more(tmp_path: Path, listener: Listener) -> None:
    address = str(tmp_path / "notify")
    full(address)
    with contextlib.closing(ServiceManager(address)) as manager:
        manager.ready()
        listener.listen()
        manager.stopping()
        beat_for_a_while(manager)
        assert listener.listen()[-1] == "STOPPING=1"
        assert not listener.has("READY=1")


def test_a_status_that_is_no_text_is_told_nevertheless(tmp_path: Path, listener: Listener) -> None:
    with contextlib.closing(ServiceManager(str(tmp_path / "notify"))) as manager:
        manager.tell("the file p\udce4rt.png is gone")
    assert listener.listen() == ["STATUS=the file p?rt.png is gone"]
