"""Starting the peers' processes, and showing them frames by turns."""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.peers_loops import Answer

_ENVIRONMENTS = Path("build/env").resolve()
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "TBB")
_LAST_LINE = -1

STARTS = 3
_WARM_UP = 10
"""Frames before the memory is looked at."""

_LEAST_ALIKE = 0.85
"""Share of the verdicts. Some frames lie near a threshold; with red and blue swapped a net for
blue frames has hardly any right."""

_LARGEST_DIFFERENCE = 0.05
"""Of the probability, in the median."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """Who takes part.

    Attributes:
        key: in :data:`tests.benchmarks.peers_loops.PEERS`, and in figures.
        title: in tables.
        environment: folder below ``build/env`` whose Python runs it.
        package: the distribution whose version counts.
    """

    key: str
    title: str
    environment: str
    package: str

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return _ENVIRONMENTS / self.environment / "bin" / "python"


class PeerError(Exception):
    """A peer's process ended, or never started; the message is the last it said."""


class Worker:
    """A peer in its process, open and with one frame judged.

    Args:
        contender: which peer.
        folder: of the network, see :mod:`tests.benchmarks.peers_files`.

    Attributes:
        contender: as given.
        start_s: from the start of the process to the first verdict.

    Raises:
        PeerError: it did not get that far.
    """

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - until the process ends
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [contender.python, "-m", "tests.benchmarks.peers_worker", contender.key, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=_single_threaded(os.environ),
            text=True,
            bufsize=1,
        )
        try:
            self._answer()
        except PeerError:
            self.close()
            raise
        self.start_s = time.perf_counter() - start

    def ask(self, command: str) -> Any:
        """Return the answer to a command of :mod:`tests.benchmarks.peers_worker`."""
        if self._process.stdin is None:
            raise PeerError("expected a pipe to the process")
        with contextlib.suppress(BrokenPipeError):  # what it said last is the better reason
            self._process.stdin.write(f"{command}\n")
        return self._answer()

    def _answer(self) -> Any:
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            lines = self._said.read().strip().splitlines() or ["it ended without a word"]
            raise PeerError(lines[_LAST_LINE])
        return json.loads(line)

    def memory_mb(self) -> float:
        """Return the process's share of memory (PSS) in units of 10^6 bytes."""
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        (kib,) = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")]
        return kib * 1024 / 1e6

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _single_threaded(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a child: one thread, and byte code kept as everywhere."""
    kept = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {f"{name}_NUM_THREADS": "1" for name in _THREADS}


@dataclasses.dataclass(frozen=True)
class Footprint:
    """A peer alone on the machine: medians.

    Attributes:
        start_s: from exec to the first verdict.
        memory_mb: PSS after a few times the same frame, which is part of it.
    """

    start_s: float
    memory_mb: float


def measure_footprint(contender: Contender, folder: Path) -> Footprint:
    """Start a peer again and again, with no other peer running; the first start warms up.

    Raises:
        PeerError: it cannot be started.
    """
    starts, memories = [], []
    for number in range(STARTS + 1):
        with Worker(contender, folder) as worker:
            worker.ask(f"again {_WARM_UP}")
            if number:
                starts.append(worker.start_s)
                memories.append(worker.memory_mb())
    return Footprint(statistics.median(starts), statistics.median(memories))


@dataclasses.dataclass(frozen=True)
class Timing:
    """A peer's frames.

    Attributes:
        rounds: median of each turn in milliseconds.
        processor: time of the processor over time of the clock; above 1 it had more threads.
    """

    rounds: tuple[float, ...]
    processor: float

    @property
    def median_ms(self) -> float:
        """Of all turns."""
        return statistics.median(self.rounds)

    def over(self, other: "Timing") -> float:
        """Return the median over rounds of this one's time over the other's in that round."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(one / another for one, another in pairs)


def time_by_turns(
    workers: Sequence[Worker], seconds: float, frames: int, skipped: int
) -> dict[str, Timing]:
    """Let each process in turn judge some frames, in another order each round.

    Args:
        workers: one runs while the others wait for their turn.
        seconds: so long, and at least so often that each has begun a round.
        frames: that count, in each turn.
        skipped: frames before them, until its code and data are in the caches again.

    Returns:
        By key of the contender.
    """
    medians: dict[str, list[float]] = {worker.contender.key: [] for worker in workers}
    used = dict.fromkeys(medians, 0.0)
    took = dict.fromkeys(medians, 0.0)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end or number < len(workers):
        for worker in _rotated(workers, number):
            key = worker.contender.key
            given = worker.ask(f"time {frames + skipped}")
            medians[key].append(1e3 * statistics.median(given["seconds"][skipped:]))
            used[key] += given["processor_s"]
            took[key] += given["took_s"]
        number += 1
    return {key: Timing(tuple(one), used[key] / took[key]) for key, one in medians.items()}


def _rotated(workers: Sequence[Worker], by: int) -> Iterator[Worker]:
    place = by % len(workers)
    yield from workers[place:]
    yield from workers[:place]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A peer's answers beside linegate's.

    Attributes:
        same: verdicts alike, of frames that each resizes in its own way.
        same_pixels: verdicts alike, of frames that need no resizing.
        frames: of each.
        difference: median difference of the probability, of the latter.
    """

    same: int
    same_pixels: int
    frames: int
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the peer gives what linegate gives, but for kernels that round otherwise."""
        return (
            self.same_pixels >= _LEAST_ALIKE * self.frames
            and self.difference <= _LARGEST_DIFFERENCE
        )


def compare_answers(worker: Worker, linegate: Worker) -> Agreement:
    """Show both the same frames."""
    frames = _pairs(worker, linegate, "check")
    pixels = _pairs(worker, linegate, "pixels")
    return Agreement(
        same=sum(one[0] == other[0] for one, other in frames),
        same_pixels=sum(one[0] == other[0] for one, other in pixels),
        frames=len(frames),
        difference=statistics.median(abs(one[1] - other[1]) for one, other in pixels),
    )


def _pairs(worker: Worker, linegate: Worker, command: str) -> list[tuple[Answer, Answer]]:
    return list(zip(worker.ask(command), linegate.ask(command), strict=True))
