"""What tests of sinks for controllers share: lines that are ready, fresh verdicts, free ports."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from linegate_bundle.manifest import Verdict
from linegate_runtime.machine import boot_id
from linegate_runtime.part_row import Recorded
from linegate_runtime.sinks.base import LineState, Sink
from tests.runtime.sink_support import recorded

READY, NOT_READY = LineState(is_ready=True), LineState(is_ready=False, reasons=("no camera",))


def fresh(number: int, **changes: Any) -> Recorded:
    """Return an accepted part that was judged just now, on this machine."""
    now = {"boot_id": boot_id(), "monotonic_ns": time.monotonic_ns(), "verdict": Verdict.ACCEPT}
    return recorded(number, **(now | changes))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_for(is_so: Callable[[], bool], timeout_s: float = 3.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.005)


@contextlib.contextmanager
def ready_line(sink: Sink[Any]) -> Iterator[None]:
    """Tell a sink twenty times a second that the line is ready."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.05):
            sink.show(READY)

    sink.show(READY)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
