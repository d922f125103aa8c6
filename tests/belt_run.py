"""A real ``linegate run`` before a simulated belt, its verdicts given to the parts they are of."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import cv2
import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import decide_part
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.model import Model
from linegate_runtime.part_row import PartRow
from linegate_runtime.testing import MjpegServer, UnevenBelt
from linegate_runtime.testing.belt import Passage

TRAINED = Path(__file__).parent / "data" / "tiny.linegate"

FPS = 30.0

SIDE = 100

_SLACK_FRAMES = 2
"""A frame may be captured so many frame times after it was drawn."""

_SETTLE_S = 1.5


@dataclasses.dataclass(frozen=True)
class BeltOutcome:
    """What a run said about the parts of a belt.

    Attributes:
        shown: parts that were wholly in view.
        missed: of them, those without a verdict.
        doubled: of them, those with more than one.
        strays: verdicts that belong to no part.
        agreeing: of the parts with one verdict, those that are judged alike offline.
        late: verdicts after the deadline.
        ages_ms: age of the newest frame of each verdict.
    """

    shown: int
    missed: int
    doubled: int
    strays: int
    agreeing: int
    late: int
    ages_ms: list[float]

    @property
    def bad_per_1000(self) -> float:
        """Parts missed or doubled, and verdicts of no part, of a thousand shown."""
        return 1000 * (self.missed + self.doubled + self.strays) / self.shown

    @property
    def agreement(self) -> float:
        """Share of the parts with one verdict that are judged alike offline."""
        return self.agreeing / (self.shown - self.missed - self.doubled)


def draw_parts(count: int, seed: int = 0) -> list[UInt8Array]:
    """Draw parts for the small trained bundle: dark noise, and on every other a bright blob."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(count):
        noise = rng.normal(rng.integers(40, 90), 12, (40, 40, 3)).clip(0, 255)
        picture = cv2.resize(noise.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        if number % 2:
            x, y = (int(value) for value in rng.integers(25, SIDE - 25, 2))
            bright = int(rng.integers(170, 230))
            cv2.circle(picture, (x, y), 18, (bright, bright, bright), cv2.FILLED, cv2.LINE_AA)
        parts.append(picture.view(np.uint8))
    return parts


def run_belt(belt: UnevenBelt, folder: Path) -> BeltOutcome:
    """Let ``linegate run`` judge a belt until it is empty, and compare with the truth."""
    empty = folder / "empty.png"
    cv2.imwrite(str(empty), belt.empty())
    with MjpegServer(lambda seconds: belt.frame(round(seconds * FPS)), fps=FPS) as camera:
        command = [
            *(sys.executable, "-m", "linegate_runtime", "run", str(TRAINED), "--json"),
            *("--camera", camera.address, "--empty", str(empty)),
            *("--part-size", f"{SIDE}x{SIDE}", "--record", str(folder / "belt.sqlite")),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            rows: list[PartRow] = []
            reader = threading.Thread(target=_collect, args=(process.stdout, rows))
            reader.start()
            while camera.seconds < len(belt) / FPS + _SETTLE_S and process.poll() is None:
                time.sleep(0.1)
            start_s = time.monotonic() - camera.seconds
            process.terminate()
            reader.join()
    if process.returncode:
        raise RuntimeError(f"linegate run ended with code {process.returncode}")
    return _outcome(belt, rows, start_s)


def _collect(pipe: IO[bytes] | None, rows: list[PartRow]) -> None:
    for line in pipe or ():
        rows.append(msgspec.json.decode(line, type=PartRow))  # noqa: PERF401 - as they come


def _outcome(belt: UnevenBelt, rows: Sequence[PartRow], start_s: float) -> BeltOutcome:
    passages = belt.passages()
    # What was in view before the run looked is no part of the truth.
    first_frame = min((_frame_of(row, start_s) for row in rows), default=0.0)
    shown = {
        part
        for part, passage in enumerate(passages)
        if passage.last - passage.first > _SLACK_FRAMES and passage.last > first_frame + FPS
    }
    found: dict[int, list[tuple[PartRow, float]]] = {part: [] for part in shown}
    strays = 0
    for row in rows:
        frame = _frame_of(row, start_s)
        owners = [
            part
            for part, passage in enumerate(passages)
            if passage.first <= frame <= passage.last + _SLACK_FRAMES
        ]
        owner = _owner(owners, passages, frame, row.frames_voted)
        if owner in found:
            found[owner].append((row, frame))
        elif owner is None:
            strays += 1
    single = {part: given[0] for part, given in found.items() if len(given) == 1}
    return BeltOutcome(
        shown=len(shown),
        missed=sum(not given for given in found.values()),
        doubled=sum(len(given) > 1 for given in found.values()),
        strays=strays,
        agreeing=_agreeing(belt, single),
        late=sum(row.reason == "late" for row in rows),
        ages_ms=[row.frame_age_ms for row in rows if row.frame_age_ms is not None],
    )


def _owner(
    owners: Sequence[int], passages: Sequence[Passage], frame: float, voted: int
) -> int | None:
    """Return which of the parts in view a verdict is of: the one that should have it by now.

    A second verdict of a part must not be given to a neighbour that has none, so what the
    others have does not count.
    """

    def surprise(part: int) -> float:
        passage = passages[part]
        return abs(frame - min(passage.first + voted - 1, passage.last))

    return min(owners, key=surprise, default=None)


def _frame_of(row: PartRow, start_s: float) -> float:
    captured_s = row.monotonic_ns / 1e9 - (row.frame_age_ms or 0.0) / 1e3
    return (captured_s - start_s) * FPS


def _agreeing(belt: UnevenBelt, single: dict[int, tuple[PartRow, float]]) -> int:
    """Count the parts that are judged alike on crops at their true place in the same frames."""
    agreeing = 0
    with Bundle.open(TRAINED, "0.1.0") as bundle, Model.open(bundle) as model:
        manifest = bundle.manifest
        passages = belt.passages()
        for part, (row, frame) in single.items():
            passage = passages[part]
            newest = max(passage.first, min(round(frame), passage.last))
            oldest = max(passage.first, newest - row.frames_voted + 1)
            seen = [
                model.probabilities(_crop(belt, part, index)) for index in range(oldest, newest + 1)
            ]
            decision = decide_part(seen, manifest.labels, manifest.policy)
            agreeing += decision.verdict is row.verdict
    return agreeing


def _crop(belt: UnevenBelt, part: int, index: int) -> UInt8Array:
    left, top = belt.left_edge(part, index), belt.top_edge(part)
    return belt.frame(index)[top : top + SIDE, left : left + SIDE]
