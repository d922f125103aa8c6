"""Writing frames to a folder from which the source ``replay`` plays them."""

import contextlib
import enum
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from linegate_bundle.errors import ConfigError, DataError, OutputError
from linegate_bundle.images import encode_jpeg, encode_png
from linegate_runtime.sources.recording_index import INDEX_NAME, IndexLine, encode_index_line

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_JPEG_QUALITY = 95


class FrameFile(enum.StrEnum):
    """How frames are kept; the value is the ending of their files' names."""

    JPEG = "jpg"
    """Quality 95: smaller and faster, but not the very pixels."""
    PNG = "png"
    """The very pixels."""


class RecordingWriter:
    """Appends frames to a recording; use it as a context manager, or call :meth:`close`.

    A frame's line goes into the index after its file is written, so a crash of the program
    loses at most the frame that was being written. Nothing is synced to disk, which would
    take longer than a frame period: a power cut may lose some seconds.

    Args:
        folder: is made if missing, and must be empty.
        files: how frames are kept.

    Raises:
        ConfigError: the folder holds something.
        OutputError: it cannot be made or written to.
    """

    def __init__(self, folder: Path, files: FrameFile = FrameFile.JPEG) -> None:
        self._folder = folder
        self._files = files
        self._count = 0
        self._index_bytes = 0
        self._last_ns: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ConfigError(
                    f"expected a new or an empty folder to record to, {folder} is not"
                )
            # Appending and unbuffered: a line is in the file when `append` returns.
            self._index: int | None = os.open(
                folder / INDEX_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666
            )
        except OSError as error:
            raise OutputError(f"{folder}: cannot be recorded to: {error.strerror}") from error

    def append(self, pixels: "UInt8Array", taken_ns: int) -> None:
        """Write one frame.

        Args:
            pixels: BGR uint8 of shape ``(height, width, 3)``.
            taken_ns: when it was taken, on one clock for the whole recording.

        Raises:
            DataError: the time is before that of the frame before, or the writer is closed.
            OutputError: the disk does not take it.
        """
        if self._index is None:
            raise DataError("expected an open recording, it is closed")
        if self._last_ns is not None and taken_ns < self._last_ns:
            raise DataError(f"expected a time from {self._last_ns} on, got {taken_ns}")
        name = f"{self._count + 1:06}.{self._files}"
        content = self._encode(pixels)
        line = encode_index_line(IndexLine(name, taken_ns))
        try:
            (self._folder / name).write_bytes(content)
            _write_all(self._index, line)
        except OSError as error:
            # Half a line may be there; the next one must not stand behind it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._index, self._index_bytes)
            raise OutputError(f"{self._folder}: cannot be written: {error.strerror}") from error
        self._index_bytes += len(line)
        self._count += 1
        self._last_ns = taken_ns

    def close(self) -> None:
        """End the recording; a second call does nothing."""
        if self._index is not None:
            os.close(self._index)
            self._index = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _encode(self, pixels: "UInt8Array") -> bytes:
        is_jpeg = self._files is FrameFile.JPEG
        try:
            return encode_jpeg(pixels, _JPEG_QUALITY) if is_jpeg else encode_png(pixels)
        except DataError as error:
            raise OutputError(str(error)) from error


def _write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes; a full disk may take some of them first."""
    while content:
        content = content[os.write(descriptor, content) :]
