"""A real line with a gate and outputs, asked to end while something around it does not answer."""

import contextlib
import dataclasses
import enum
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.broker import Mosquitto, mosquitto
from tests.gate_observer import GateObserver
from tests.gate_run import Process, gated_line, pid_of
from tests.record_run import Receiver, wait_for

_LIMIT_S = 30.0


class Trouble(enum.StrEnum):
    """What does not answer while a line is asked to end."""

    NOTHING = "nothing"
    CAMERA = "camera's process stopped"
    GUARD = "gate's guard stopped"
    OUTPUTS = "outputs' process stopped"
    BROKER = "MQTT broker stopped"
    RECEIVER = "HTTP receiver silent"
    ALL_ASKED = "all its processes asked at once"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a line ended.

    Attributes:
        seconds: from the signal to its end.
        code: its exit code; a signal as a negative number.
        is_safe: whether the gate was in its safe state then.
        left: command lines of its processes that were still there.
    """

    seconds: float
    code: int
    is_safe: bool
    left: list[str]


def end_in(folder: Path, bundle: Path, trouble: Trouble) -> Ended:
    """Run a line before a camera with parts all the time, and ask it to end.

    Args:
        folder: an empty one; the record is ``gated.sqlite``.
        bundle: for the fake engine.
        trouble: what happens half a second before.
    """
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder))
        url = stack.enter_context(_receiver(trouble))
        sinks = [
            {"kind": "mqtt", "address": f"127.0.0.1:{broker.port}"},
            {"kind": "http", "url": url},
        ]
        pid, observer = stack.enter_context(gated_line(folder, bundle, "accept", *sinks))
        with _made(trouble, pid, broker):
            time.sleep(0.5)
            return _end(pid, observer, trouble)


@contextlib.contextmanager
def _made(trouble: Trouble, pid: int, broker: Mosquitto) -> Iterator[None]:
    """Stop what the trouble is about while the block runs."""
    children = {
        Trouble.CAMERA: Process.CAMERA,
        Trouble.GUARD: Process.GUARD,
        Trouble.OUTPUTS: Process.OUTPUTS,
    }
    with contextlib.ExitStack() as stack:
        if trouble is Trouble.BROKER:
            stack.enter_context(broker.hung())
        if trouble in children:
            stopped = pid_of(pid, children[trouble])
            os.kill(stopped, signal.SIGSTOP)
            stack.callback(_go_on, stopped)
        yield


def _go_on(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _end(pid: int, observer: GateObserver, trouble: Trouble) -> Ended:
    group = os.getpgid(pid)
    since = time.monotonic()
    if trouble is Trouble.ALL_ASKED:
        os.killpg(group, signal.SIGTERM)
    else:
        os.kill(pid, signal.SIGTERM)
    result = None
    while result is None and time.monotonic() < since + _LIMIT_S:
        # Left for its owner to reap.
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        time.sleep(0.002)
    if result is None:
        raise TimeoutError(f"the line did not end within {_LIMIT_S:g} s ({trouble})")
    seconds = time.monotonic() - since
    left = _members(group, pid)
    code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    wait_for(lambda: observer.sights()[-1].is_safe)
    return Ended(seconds=seconds, code=code, is_safe=observer.sights()[-1].is_safe, left=left)


def _members(group: int, pid: int) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != pid and os.getpgid(int(folder.name)) == group:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@contextlib.contextmanager
def _receiver(trouble: Trouble) -> Iterator[str]:
    """Serve what takes parts; or a port that takes requests and never says anything."""
    if trouble is not Trouble.RECEIVER:
        with Receiver() as receiver:
            yield receiver.url
        return
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as held:
        server.settimeout(0.1)
        is_over = threading.Event()

        def take() -> None:
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    held.enter_context(server.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/parts"
        finally:
            is_over.set()
            thread.join()
