"""The index of a recording: which frame was taken when.

A recording is a folder with an index ``frames.jsonl``, one JSON object a line such as
``{"file":"000001.jpg","taken_ns":123}`` in the order of the frames. The line of a frame is
written after its file, so after a crash every whole line has its frame, and only the last
line may be torn.
"""

import dataclasses
import logging
from pathlib import Path, PurePosixPath

import msgspec

from linegate_bundle.errors import ConfigError

INDEX_NAME = "frames.jsonl"

_LOG = logging.getLogger(__name__)

_NAMED = 10
"""So many wrong lines are named; of more, only the number is told."""


class IndexLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line.

    Attributes:
        file: the frame's path below the folder, with ``/``.
        taken_ns: when it was taken, on a clock whose zero means nothing; never less than in
            the line before.
    """

    file: str
    taken_ns: int


_DECODER = msgspec.json.Decoder(IndexLine)


@dataclasses.dataclass(frozen=True)
class RecordedFrame:
    """One frame of a recording, not yet read.

    Attributes:
        path: its file.
        taken_ns: as in the index.
        line: the index's line, from 1.
    """

    path: Path
    taken_ns: int
    line: int


def encode_index_line(line: IndexLine) -> bytes:
    """Write a line, with its end."""
    return msgspec.json.encode(line) + b"\n"


def read_index(folder: Path) -> list[RecordedFrame]:
    """Read and check the whole index of a recording.

    A last line that was cut short is left out, with a warning in the log. Whether the
    frames can be decoded is not looked at.

    Raises:
        ConfigError: there is no index, it is empty or lines of it are wrong; all are named,
            from the eleventh on by their number.
    """
    path = folder / INDEX_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"expected a recording, {path}: {error.strerror}") from error
    if not _is_json(lines[-1]) and lines.pop():
        _LOG.warning("%s: the last line was cut short and is left out", path)
    frames: list[RecordedFrame] = []
    problems = []
    for number, line in enumerate(lines, 1):
        try:
            frames.append(_check(folder, number, line, frames[-1] if frames else None))
        except (msgspec.DecodeError, ValueError) as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise ConfigError(_complaint(path, problems))
    if not frames:
        raise ConfigError(f"expected a recording, {path} names no frames")
    return frames


def _is_json(rest: bytes) -> bool:
    """Say whether what follows the last end of a line is a line all the same."""
    try:
        msgspec.json.decode(rest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _check(folder: Path, number: int, line: bytes, before: RecordedFrame | None) -> RecordedFrame:
    """Read one line.

    Raises:
        msgspec.DecodeError, ValueError: say what is wrong with it.
    """
    one = _DECODER.decode(line)
    if not _stays_inside(one.file):
        raise ValueError(f"expected a path inside the folder, got {one.file!r}")
    path = folder / one.file
    if not path.is_file():
        raise ValueError(f"there is no file {one.file!r}")
    if before is not None and one.taken_ns < before.taken_ns:
        raise ValueError(
            f"expected a time from {before.taken_ns} on, as in line {before.line}, "
            f"got {one.taken_ns}"
        )
    return RecordedFrame(path, one.taken_ns, number)


def _stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _complaint(path: Path, problems: list[str]) -> str:
    named = "".join(f"\n  {problem}" for problem in problems[:_NAMED])
    more = len(problems) - _NAMED
    rest = f"\n  and {more} more" if more > 0 else ""
    return (
        f"{path}: {len(problems)} wrong {'line' if len(problems) == 1 else 'lines'}:{named}{rest}"
    )
