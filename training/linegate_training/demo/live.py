"""The demo's live part: cells travel past a camera, ``linegate run`` judges them."""

import dataclasses
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import cv2
import msgspec
import numpy as np

from linegate_bundle.errors import LinegateError
from linegate_bundle.images import decode_image, encode_jpeg, read_image
from linegate_bundle.manifest import Role, Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.testing.belt import Belt, Passage
from linegate_runtime.testing.mjpeg_server import MjpegServer
from linegate_training.demo.device import MemoryWatch
from linegate_training.demo.process import StepError
from linegate_training.demo.summary import LiveFigures, Milliseconds

FRAMES_PER_SECOND = 30.0
_SPEED_PX = 20.0
_GAP_PX = 200
_SLACK_FRAMES = 2
"""A frame may be captured so many frame times after it was drawn."""
_SETTLE_S = 1.0
_STOP_TIMEOUT_S = 10.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo reads of a verdict that ``linegate run --json`` prints."""

    part: int
    verdict: Verdict
    monotonic_ns: int
    frame_age_ms: float | None
    frames_voted: int


@dataclasses.dataclass(frozen=True)
class Shown:
    """A part on the belt with what is known about it beforehand.

    Attributes:
        path: its picture.
        role: what it truly is.
        offline: the verdict that ``linegate classify`` gives for the picture.
    """

    path: Path
    role: Role
    offline: Verdict


@dataclasses.dataclass(frozen=True)
class Found:
    """A verdict on a part.

    Attributes:
        verdict: what happens to it.
        frame: index of the belt's frame that decided, about.
        voted: how many frames up to that one had a vote.
    """

    verdict: Verdict
    frame: float
    voted: int


Judge = Callable[[Sequence[Sequence[UInt8Array]]], list[Verdict]]
"""Gives the offline verdict of each part from BGR pictures of it."""


class LiveResult(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the live part, and the verdict of each part in the order of the belt."""

    figures: LiveFigures
    peak_memory_mb: float
    verdicts: list[Verdict | None]


def run_live(
    command: Sequence[str], parts: Sequence[Shown], empty: Path, judge: Judge
) -> LiveResult:
    """Let ``linegate run`` judge parts that travel past a simulated camera.

    Args:
        command: ``linegate run`` with its options, all but the camera's address.
        parts: what travels past, in this order.
        empty: where the picture of the empty belt is written for the command to read.
        judge: judges the parts anew, offline, by the frames that had a vote.

    Raises:
        StepError: the command failed.
        LinegateError: it gave no verdict at all.
    """
    pictures = [read_image(part.path) for part in parts]
    # The first part is in view when the camera opens, so that start to verdict is measurable.
    belt = Belt(pictures, speed_px=_SPEED_PX, gap_px=_GAP_PX, lead_px=pictures[0].shape[1])
    cv2.imwrite(str(empty), belt.empty())
    with MjpegServer(
        lambda seconds: belt.frame(round(seconds * FRAMES_PER_SECOND)), fps=FRAMES_PER_SECOND
    ) as camera:
        rows, first_verdict_s, memory = _watch(
            [*command, "--camera", camera.address, "--json"], camera, len(belt)
        )
        start_s = time.monotonic() - camera.seconds
    verdicts = _match(rows, belt.passages(), start_s)
    again = _judge_again(belt, [picture.shape[:2] for picture in pictures], verdicts, judge)
    figures = _figures(parts, verdicts, again, rows, first_verdict_s)
    return LiveResult(
        figures=figures,
        peak_memory_mb=memory.peak_bytes / 1e6,
        verdicts=[found[0].verdict if found else None for found in verdicts[: len(parts)]],
    )


def _watch(
    command: Sequence[str], camera: MjpegServer, frames: int
) -> tuple[list[Row], float, MemoryWatch]:
    """Run the command until the belt is empty; return verdicts, time to the first, memory."""
    lines: list[tuple[float, bytes]] = []
    start_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    reader = threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        with MemoryWatch(process.pid) as memory:
            belt_s = frames / FRAMES_PER_SECOND + _SETTLE_S
            while camera.seconds < belt_s and process.poll() is None:
                time.sleep(0.1)
        process.terminate()
        code = process.wait(_STOP_TIMEOUT_S)
    finally:
        process.kill()
    reader.join(_STOP_TIMEOUT_S)
    if code:
        raise StepError(command, code)
    if camera.seconds < belt_s or not lines:
        raise LinegateError(
            f"expected `linegate run` to judge parts until the belt is empty, it ended after "
            f"{len(lines)} verdicts; see its messages"
        )
    rows = [msgspec.json.decode(line, type=Row) for _, line in lines]
    return rows, lines[0][0] - start_s, memory


def _collect(pipe: IO[bytes], lines: list[tuple[float, bytes]]) -> None:
    for line in pipe:
        lines.append((time.monotonic(), line))
        if len(lines) % 20 == 0:
            sys.stderr.write(f"    {len(lines)} parts judged\n")


def _judge_again(
    belt: Belt,
    sizes: Sequence[tuple[int, ...]],
    verdicts: Sequence[Sequence[Found]],
    judge: Judge,
) -> dict[int, Verdict]:
    """Judge the parts with a verdict by the frames that had a vote, as the camera sent them."""
    numbers = [number for number, found in enumerate(verdicts[:-1]) if found]
    passages = belt.passages()
    seen = []
    for number in numbers:
        passage, found = passages[number], verdicts[number][0]
        newest = max(passage.first, min(round(found.frame), passage.last))
        oldest = max(passage.first, newest - found.voted + 1)
        seen.append(
            [_seen(belt, number, sizes[number], index) for index in range(oldest, newest + 1)]
        )
    return dict(zip(numbers, judge(seen), strict=True))


def _seen(belt: Belt, number: int, size: tuple[int, ...], index: int) -> UInt8Array:
    """Return a part as the camera sent it in one frame, cut out where it truly was."""
    frame = decode_image(encode_jpeg(belt.frame(index)))
    left, top = belt.left_edge(number, index), belt.top_edge(number)
    height, width = size
    return frame[top : top + height, left : left + width]


def _match(rows: Sequence[Row], passages: Sequence[Passage], start_s: float) -> list[list[Found]]:
    """Give each verdict to the part that was in view when its last frame was captured.

    Returns:
        The verdicts of each part, and in one more entry those that belong to none.
    """
    found: list[list[Found]] = [[] for _ in range(len(passages) + 1)]
    for row in rows:
        if row.frame_age_ms is None:  # no frame showed it
            found[-1].append(Found(row.verdict, 0.0, 0))
            continue
        captured_s = row.monotonic_ns / 1e9 - row.frame_age_ms / 1e3
        frame = (captured_s - start_s) * FRAMES_PER_SECOND
        owner = next(
            (
                index
                for index, passage in enumerate(passages)
                if passage.first <= frame <= passage.last + _SLACK_FRAMES
            ),
            len(passages),
        )
        found[owner].append(Found(row.verdict, frame, row.frames_voted))
    return found


def _figures(
    parts: Sequence[Shown],
    verdicts: Sequence[Sequence[Found]],
    again: Mapping[int, Verdict],
    rows: Sequence[Row],
    first_verdict_s: float,
) -> LiveFigures:
    *by_part, stray = verdicts
    judged = [(part, found[0].verdict) for part, found in zip(parts, by_part, strict=True) if found]
    alike = [by_part[number][0].verdict is verdict for number, verdict in again.items()]
    outcomes = Counter(_outcome(part.role, verdict) for part, verdict in judged)
    latencies = [row.frame_age_ms for row in rows if row.frame_age_ms is not None]
    return LiveFigures(
        parts_shown=len(parts),
        parts_judged=len(judged),
        missed=len(parts) - len(judged),
        doubled=sum(max(len(found) - 1, 0) for found in by_part) + len(stray),
        agreement_offline=sum(part.offline is verdict for part, verdict in judged) / len(parts),
        agreement_frames=sum(alike) / len(parts),
        right=outcomes["right"],
        wrong=outcomes["escape"] + outcomes["false reject"],
        escapes=outcomes["escape"],
        unsure=outcomes["unsure"],
        latency_ms=Milliseconds(
            median=statistics.median(latencies), p99=float(np.quantile(latencies, 0.99))
        ),
        first_verdict_s=first_verdict_s,
    )


def _outcome(role: Role, verdict: Verdict) -> str:
    if verdict is Verdict.UNSURE:
        return "unsure"
    if (verdict is Verdict.ACCEPT) == (role is Role.GOOD):
        return "right"
    return "escape" if verdict is Verdict.ACCEPT else "false reject"
