"""What a source of frames must do: open an address, give one frame after the other."""

import abc
import dataclasses
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Size

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]
FramesPerSecond = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]
Microseconds = Annotated[float, msgspec.Meta(gt=0.0, le=60e6)]
Gain = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]
Kelvin = Annotated[int, msgspec.Meta(ge=1000, le=20000)]
Speed = Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)]
Rotation = Literal[0, 90, 180, 270]


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to open and how.

    Attributes:
        address: what it means is up to the source: a URL, a device number, a path.
        size: frames must have this size, before they are turned; None takes what comes.
        fps: frames a second to ask for; None leaves it to the camera. Whoever reads the
            frames checks that they come so often.
        exposure_us: time of exposure in microseconds; None leaves it to the camera, as for
            the next two.
        gain: analogue gain; what 1 means is up to the camera.
        white_balance_k: colour temperature of the light in kelvin.
        rotation: degrees by which frames are turned clockwise; sources do not look at it.
        speed: of a recording, how many times as fast as it was taken it is played; None
            gives its frames as fast as they are wanted.
        open_timeout_s: after so long without a first frame the address does not answer.
        read_timeout_s: after so long without a next frame the stream is lost.
    """

    address: str
    size: Size | None = None
    fps: FramesPerSecond | None = None
    exposure_us: Microseconds | None = None
    gain: Gain | None = None
    white_balance_k: Kelvin | None = None
    rotation: Rotation = 0
    speed: Speed | None = 1.0
    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 2.0


@dataclasses.dataclass(frozen=True)
class Captured:
    """One frame from a source.

    Attributes:
        pixels: BGR uint8 of shape ``(height, width, 3)``, valid until the next read.
        monotonic_ns: ``time.monotonic_ns()`` when the frame had come in.
        taken_ns: of a recording, when the frame was taken, on a clock whose zero means
            nothing; None where that is ``monotonic_ns``.
    """

    pixels: "UInt8Array"
    monotonic_ns: int
    taken_ns: int | None = None


class Source(abc.ABC):
    """An open source of frames; it lives in the capture's own process.

    A subclass takes exactly this argument, opens the address and raises
    :class:`~linegate_bundle.errors.CameraError` if it does not answer in time and
    :class:`~linegate_bundle.errors.ConfigError` if the address cannot mean anything, or the
    camera has not taken a setting.

    Attributes:
        is_as_seen: whether its frames are turned and lit already, as a line has seen them; then
            rotation is left out, and settings of the camera mean nothing.
        settings: which of exposure_us, gain and white_balance_k it can set, unless that
            depends on the address; see :meth:`settable`.
    """

    is_as_seen: ClassVar[bool] = False
    settings: ClassVar[frozenset[str]] = frozenset()

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

    @classmethod
    def settable(cls, address: str) -> frozenset[str]:
        """Return which of exposure_us, gain and white_balance_k can be set at an address."""
        del address
        return cls.settings

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


SETTINGS = ("exposure_us", "gain", "white_balance_k")
"""Settings that not every source can set; left out, they are the camera's own business."""


def refused_settings(source: type[Source], options: SourceOptions) -> dict[str, str]:
    """Return the settings that are asked of a source and that it cannot set, each with why."""
    settable = source.settable(options.address)
    can = ", ".join(name for name in SETTINGS if name in settable) or "none of these"
    text = f"this source cannot set it (it can set {can}); set it in the camera itself"
    return {
        name: text
        for name in SETTINGS
        if getattr(options, name) is not None and name not in settable and not source.is_as_seen
    }


def check_settings(source: type[Source], options: SourceOptions) -> None:
    """Refuse settings that a source cannot set, before its camera is opened.

    Raises:
        ConfigError: names all of them.
    """
    refused = refused_settings(source, options)
    if refused:
        raise ConfigError("; ".join(f"{name}: {text}" for name, text in refused.items()))
