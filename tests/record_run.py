"""A real ``linegate run`` that puts parts on record and tells a receiver, to be killed at will."""

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from linegate_runtime.bounded_server import BoundedServer
from linegate_runtime.record import Access, Record

PARTS_PER_S = 30
"""The fake camera gives 90 frames a second, three of which are a part."""

_LIMIT_S = 20.0


class Receiver:
    """An HTTP server that takes parts; use it as a context manager.

    Attributes:
        acknowledged: UUIDs in the order in which they were acknowledged, each as often as it was.
        is_away: set, it answers each request with 503.
    """

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.is_away = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _LIMIT_S

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.is_away.is_set():
                    self.send_response(503)
                else:
                    receiver.acknowledged.append(json.loads(content)["uuid"])
                    self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = BoundedServer(("127.0.0.1", 0), Handler, 32)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """Where parts are sent."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/parts"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def write_config(
    folder: Path,
    record: Path,
    sinks: Sequence[Mapping[str, object]],
    extra: str = "",
    trigger: str = 'kind = "continuous"',
) -> Path:
    """Write the configuration of a line before a fake camera.

    Args:
        folder: for the file.
        record: the database.
        sinks: tables; values as they are in JSON, which is TOML too for these.
        extra: other tables.
        trigger: the table's lines.
    """
    tables = "".join(
        "[[sink]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in sink.items())
        for sink in sinks
    )
    path = folder / "line.toml"
    path.write_text(
        f'[camera]\naddress = "64x48@{3 * PARTS_PER_S}"\nsource = "fake"\n'
        f'[trigger]\n{trigger}\n[engine]\nname = "fake"\n'
        f'[record]\npath = "{record}"\n{extra}{tables}'
    )
    return path


@contextlib.contextmanager
def line(
    bundle: Path,
    config: Path,
    *,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    log: Path | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``linegate run`` while the block runs; it is killed at the end.

    Args:
        bundle: for the fake engine.
        config: see :func:`write_config`.
        environment: the whole of it; None takes this process's.
        before: a program with its options that runs it, such as strace.
        log: takes what it logs.
    """
    command = [
        *(*before, sys.executable, "-m", "linegate_runtime", "run", str(bundle)),
        *("--config", str(config)),
    ]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        process = stack.enter_context(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
        )
        try:
            yield process
        finally:
            process.kill()


def python_path(folder: Path) -> str:
    """Return a ``PYTHONPATH`` with another folder before those that it has."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def wait_for(condition: Callable[[], bool], limit_s: float = _LIMIT_S) -> None:
    """Wait until a condition holds; TimeoutError if it does not in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it did not come to hold within {limit_s:g} s")
        time.sleep(0.01)


def missing(record: Path, acknowledged: Sequence[str]) -> set[str]:
    """Return the UUIDs that were acknowledged and are not on record."""
    with Record(record, Access.READ) as opened:
        return set(acknowledged) - {one.row.uuid for one in opened.rows()}
