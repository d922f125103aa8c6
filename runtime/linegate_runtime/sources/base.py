"""What a source of frames must do: open an address, give one frame after the other."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Annotated

import msgspec

from linegate_runtime.geometry import Size

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]
FramesPerSecond = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to open and how.

    Attributes:
        address: what it means is up to the source: a URL, a device number, a path.
        size: frames must have this size; None takes what comes.
        fps: frames a second to ask for; None leaves it to the camera. Streams have
            their own rate and ignore it.
        open_timeout_s: after so long without a first frame the address does not answer.
        read_timeout_s: after so long without a next frame the stream is lost.
    """

    address: str
    size: Size | None = None
    fps: FramesPerSecond | None = None
    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 2.0


@dataclasses.dataclass(frozen=True)
class Captured:
    """One frame from a source.

    Attributes:
        pixels: BGR uint8 of shape ``(height, width, 3)``, valid until the next read.
        monotonic_ns: ``time.monotonic_ns()`` when the frame had come in.
    """

    pixels: "UInt8Array"
    monotonic_ns: int


class Source(abc.ABC):
    """An open source of frames; it lives in the capture's own process.

    A subclass takes exactly this argument, opens the address and raises
    :class:`~linegate_bundle.errors.CameraError` if it does not answer in time and
    :class:`~linegate_bundle.errors.ConfigError` if the address cannot mean anything.
    """

    @abc.abstractmethod
    def __init__(self, options: SourceOptions) -> None: ...

    @classmethod
    def is_live(cls, address: str) -> bool:
        """Say whether frames come by themselves.

        Of a live source only the newest frame is kept, and a lost one is opened
        again. Any other (a folder, a video file) waits until a frame is wanted, gives
        every frame once and is not repeated.
        """
        del address
        return True

    @abc.abstractmethod
    def read(self) -> Captured | None:
        """Wait for the next frame; None at the end of what has an end.

        Raises:
            CameraError: no frame within ``read_timeout_s``, or the stream is lost.
            DataError: a recorded picture cannot be decoded.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let the camera go; a second call does nothing."""
