"""What a trigger must do: say which parts a frame shows, and where."""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Self, TypeVar

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Box

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array
    from linegate_runtime.part_row import Recorded


class Sighting(msgspec.Struct, frozen=True):
    """A part that is wholly in view.

    Attributes:
        part: its number; it stays with the part for as long as the part is in view,
            and no other part ever gets it.
        box: what to judge, in pixels of the frame; None for the whole frame.
    """

    part: int
    box: Box | None


class Begun(msgspec.Struct, frozen=True):
    """A part that is known to be there, though no frame may have shown it yet.

    Attributes:
        part: its number, see :class:`Sighting`.
        monotonic_ns: ``time.monotonic_ns()`` when it came; its deadline runs from then.
    """

    part: int
    monotonic_ns: int


class Observation(msgspec.Struct, frozen=True):
    """What a trigger sees in one frame.

    Attributes:
        sightings: parts to judge in this frame.
        ended: numbers of parts that leave or have gone; they will not be seen again.
        unseen: how many parts have gone that were never wholly in view.
        noticed: what the trigger sees besides, such as parts that are not yet wholly in
            view; for people who set it up.
        state: what it is doing, in a few words for the same people.
    """

    sightings: tuple[Sighting, ...] = ()
    ended: tuple[int, ...] = ()
    unseen: int = 0
    noticed: tuple[Box, ...] = ()
    state: str = ""


class TriggerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a trigger's options; fields of type ``Path`` are relative to the file."""

    @property
    def most_frames(self) -> int | None:
        """In so many frames a part is shown at most; None if the options do not limit it."""
        return None

    def for_vote(self, frames: int) -> Self:
        """Return the options with as many frames a part as are voted over, if they are open."""
        del frames
        return self


class CountedOptions(TriggerOptions, frozen=True, kw_only=True):
    """Base of the options of triggers that do not see when a part leaves.

    Attributes:
        frames: so many frames in a row show a part; None for as many as the policy votes over.
    """

    frames: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None

    @property
    def most_frames(self) -> int | None:
        """See :attr:`TriggerOptions.most_frames`."""
        return self.frames

    def for_vote(self, frames: int) -> Self:
        """See :meth:`TriggerOptions.for_vote`."""
        return self if self.frames else msgspec.structs.replace(self, frames=frames)


OptionsT = TypeVar("OptionsT", bound=TriggerOptions)


class Trigger(abc.ABC, Generic[OptionsT]):
    """Finds the parts in the frames of one camera, in the order they come.

    A subclass takes exactly these arguments and raises
    :class:`~linegate_bundle.errors.ConfigError` for options that cannot work.

    Args:
        options: an instance of the class's ``Options``.
        region: region of interest in pixels of the frame; None for the whole frame.

    Attributes:
        Options: type of the options.
        wants_verdicts: whether :meth:`told` is called.
    """

    Options: ClassVar[type[TriggerOptions]] = TriggerOptions
    wants_verdicts: ClassVar[bool] = False

    @abc.abstractmethod
    def __init__(self, options: OptionsT, region: Box | None = None) -> None: ...

    @abc.abstractmethod
    def observe(self, pixels: "UInt8Array", taken_ns: int) -> Observation:
        """Look at the next frame.

        Args:
            pixels: BGR uint8 of shape ``(height, width, 3)``.
            taken_ns: when it was taken, see :class:`~linegate_runtime.frame.Frame`; rises
                from call to call.

        Raises:
            ConfigError: the frame does not fit the region or a taught picture.
        """

    def begun(self, now_ns: int) -> tuple[Begun, ...]:
        """Return the parts that have come since the last call and are known without a frame.

        Triggers that see parts only in frames have none.

        Args:
            now_ns: ``time.monotonic_ns()``.
        """
        del now_ns
        return ()

    def told(self, parts: Sequence["Recorded"]) -> None:
        """Hear of the verdicts of its parts as soon as they are on record, in another thread.

        Returns at once.
        """
        del parts

    def close(self) -> None:
        """Let go what the trigger holds, such as a pin; a second call does nothing."""


def check_region(region: Box | None, pixels: "UInt8Array") -> Box:
    """Return the region, or the whole frame if it is None.

    Raises:
        ConfigError: the region reaches outside the frame.
    """
    height, width = pixels.shape[:2]
    if region is None:
        return Box(0, 0, width, height)
    if region.right > width or region.bottom > height:
        raise ConfigError(
            f"expected a region inside the frame of {width}x{height}, got {region} "
            "(x,y,width,height); correct the region"
        )
    return region
