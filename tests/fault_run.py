"""A real ``linegate run`` before a stream that breaks and heals, and what it said meanwhile."""

import dataclasses
import enum
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.part_row import PartRow
from linegate_runtime.testing import MjpegServer, StreamFault
from tests.rtsp_server import RtspServer

ON_ITS_WAY_S = 0.25
"""A verdict so long after the fault began may be on a frame from before."""

_LIMIT_S = 20.0


class Break(enum.StrEnum):
    """Everything that happens to streams: those of :class:`StreamFault`, and silence."""

    KILLED = "killed"
    HUNG = "hung"
    RESTARTED = "restarted"
    SLOW = StreamFault.SLOW
    GARBAGE = StreamFault.GARBAGE
    RESIZED = StreamFault.RESIZED
    FROZEN = StreamFault.FROZEN
    BLACK = StreamFault.BLACK


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What one fault led to.

    Attributes:
        stale: verdicts while the stream was broken, on frames of that time.
        recover_s: from the stream being back to the next verdict.
    """

    stale: int
    recover_s: float


def changing_picture(seconds: float) -> UInt8Array:
    """Return what the camera shows: noise, another at any time."""
    rng = np.random.default_rng(int(seconds * 1000))
    return rng.integers(30, 200, (120, 160, 3), np.uint8)


class WatchedRun:
    """``linegate run`` that judges every frame of a stream; use it as a context manager.

    Args:
        camera: a serving camera.
        bundle: any bundle that the engine runs.
        folder: for the record.
        engine: of the bundle.
    """

    def __init__(
        self, camera: MjpegServer | RtspServer, bundle: Path, folder: Path, engine: str
    ) -> None:
        self._camera = camera
        config = folder / "line.toml"
        config.write_text(
            f'[camera]\naddress = "{camera.address}"\n'
            "open_timeout_s = 1.0\nread_timeout_s = 1.0\n"
            '[trigger]\nkind = "continuous"\n'
            f'[engine]\nname = "{engine}"\n[record]\npath = "faults.sqlite"\n'
            '[[sink]]\nkind = "jsonlines"\n'
        )
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "linegate_runtime", "run", str(bundle)),
                *("--config", str(config)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.rows: list[PartRow] = []
        self.log: list[bytes] = []
        self._readers = [
            threading.Thread(target=_rows, args=(self.process.stdout, self.rows)),
            threading.Thread(target=_lines, args=(self.process.stderr, self.log)),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        self.wait_for_verdict(time.monotonic_ns())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.wait(_LIMIT_S)
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def suffer(self, fault: Break, lasting_s: float) -> Recovery:
        """Break the stream, heal it, and wait for the next verdict."""
        begun_ns = time.monotonic_ns()
        _break(self._camera, fault)
        time.sleep(0.1 if fault is Break.RESTARTED else lasting_s)
        healed_ns = time.monotonic_ns()
        self._camera.heal()
        first = self.wait_for_verdict(healed_ns)
        slack_ns = round(ON_ITS_WAY_S * 1e9)
        stale = [row for row in self.rows if begun_ns + slack_ns < _captured_ns(row) < healed_ns]
        return Recovery(stale=len(stale), recover_s=(first.monotonic_ns - healed_ns) / 1e9)

    def wait_for_verdict(self, after_ns: int) -> PartRow:
        """Wait for a verdict on a frame that was captured after a time."""
        found: list[PartRow] = []

        def has_come() -> bool:
            found.extend(row for row in self.rows[-50:] if _captured_ns(row) > after_ns)
            return bool(found)

        _wait_for(has_come, self)
        return min(found, key=lambda row: row.monotonic_ns)


def _break(camera: MjpegServer | RtspServer, fault: Break) -> None:
    if fault in (Break.KILLED, Break.RESTARTED):
        camera.kill()
    elif fault is Break.HUNG:
        camera.hang()
    elif isinstance(camera, MjpegServer):
        camera.spoil(StreamFault(fault.value))
    else:
        raise TypeError(f"expected a camera that can be spoiled by {fault}, got {camera}")


def _captured_ns(row: PartRow) -> int:
    return row.monotonic_ns - round((row.frame_age_ms or 0.0) * 1e6)


def _wait_for(condition: Callable[[], bool], run: WatchedRun) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > deadline or run.process.poll() is not None:
            log = b"".join(run.log).decode(errors="replace")
            raise TimeoutError(f"no verdict within {_LIMIT_S:g} s: {log}")
        time.sleep(0.01)


def _rows(pipe: IO[bytes] | None, rows: list[PartRow]) -> None:
    for line in pipe or ():
        rows.append(msgspec.json.decode(line, type=PartRow))  # noqa: PERF401 - as they come


def _lines(pipe: IO[bytes] | None, lines: list[bytes]) -> None:
    for line in pipe or ():
        lines.append(line)  # noqa: PERF402 - as they come
