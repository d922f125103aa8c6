"""Pictures of parts, kept as files within a budget; the oldest are removed first.

The folder itself says what is kept: one folder a day, one JPEG a part, names that sort by time.
"""

import collections
import contextlib
import logging
import queue
import random
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from linegate_bundle.atomic import write_replaced
from linegate_bundle.errors import DataError, OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_LOG = logging.getLogger(__name__)

_MOST_WAITING = 8
"""Pictures that wait to be written; when the disk is slower than the line, some are left out."""

_QUALITY = 90

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME = re.compile(r"\d{9}-[a-z]+-[0-9a-f-]{36}\.jpg")


class Pictures:
    """Writes pictures in a thread of its own.

    Args:
        folder: made if it is not there.
        most_bytes: of all pictures together.
        accepted_share: of the accepted parts so many are kept, chosen at random; of all others
            every one.

    Attributes:
        problem: why none can be kept just now, as a sentence; None if they can.
        left_out: how many were not kept because the disk was slower than the line.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int, accepted_share: float) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._accepted_share = accepted_share
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: pictures cannot be kept there: {error}") from error
        self._queue: queue.Queue[tuple[str, UInt8Array] | None] = queue.Queue(_MOST_WAITING)
        self._kept: collections.deque[tuple[str, int]] = collections.deque()
        self._bytes = 0
        self.problem: str | None = None
        self.left_out = 0
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def offer(self, row: PartRow, pixels: "UInt8Array") -> str | None:
        """Keep the picture of a part, if it is one to keep and there is time; returns at once.

        Args:
            row: of the part.
            pixels: BGR uint8 of shape ``(height, width, 3)``; copied.

        Returns:
            The file's name in the folder; None if it is not kept.
        """
        is_wanted = row.verdict is not Verdict.ACCEPT or random.random() < self._accepted_share
        if not is_wanted:
            return None
        if self._queue.full():
            self.left_out += 1
            return None
        name = name_of(row)
        self._queue.put_nowait((name, pixels.copy()))
        return name

    def close(self, limit_s: float = 1.0) -> None:
        """Write what waits, for a moment at most."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=limit_s)
        self._thread.join(limit_s)

    def _run(self) -> None:
        try:
            self._find_kept()
        except OSError as error:
            _LOG.warning("pictures of before are not counted: %s", error)
        while (wanted := self._queue.get()) is not None:
            name, pixels = wanted
            try:
                self._write(name, pixels)
                self.problem = None
            except (OSError, DataError) as error:
                if self.problem is None:
                    _LOG.error("pictures cannot be kept: %s", error)
                self.problem = f"pictures cannot be kept: {error}"

    def _find_kept(self) -> None:
        """Look what is there from before; files with other names are none of ours."""
        found = []
        for day in self.folder.iterdir():
            if day.is_dir() and _DAY.fullmatch(day.name):
                for file in day.iterdir():
                    if _NAME.fullmatch(file.name):
                        found.append((f"{day.name}/{file.name}", file.lstat().st_size))
                    elif file.suffix == ".tmp":
                        file.unlink(missing_ok=True)
        self._kept.extend(sorted(found))
        self._bytes = sum(size for _, size in found)

    def _write(self, name: str, pixels: "UInt8Array") -> None:
        from linegate_bundle.images import encode_jpeg  # noqa: PLC0415 - needs OpenCV

        jpeg = encode_jpeg(pixels, _QUALITY)
        self._make_room(len(jpeg))
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_replaced(path, jpeg)
        self._kept.append((name, len(jpeg)))
        self._bytes += len(jpeg)

    def _make_room(self, size: int) -> None:
        while self._kept and self._bytes + size > self._most_bytes:
            name, freed = self._kept.popleft()
            self._bytes -= freed
            path = self.folder / name
            path.unlink(missing_ok=True)
            if not self._kept or self._kept[0][0].split("/")[0] != path.parent.name:
                with contextlib.suppress(OSError):  # something else is in it
                    path.parent.rmdir()


def name_of(row: PartRow) -> str:
    """Return the file that a part's picture is kept in, below the pictures' folder."""
    time = row.time_utc[11:23].replace(":", "").replace(".", "")
    return f"{row.time_utc[:10]}/{time}-{row.verdict.value}-{row.uuid}.jpg"
