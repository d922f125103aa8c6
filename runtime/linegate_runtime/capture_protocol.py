"""What the capture's process and its parent say to each other.

Parent to child, on the child's standard input: one line with a :class:`Request`
in JSON, then one byte :data:`WANT` whenever the next frame is wanted, and one byte
:data:`REFRESH` if an announced frame has waited while the parent was busy. The end
of the input means that the parent is gone. Child to parent, on a pipe: one event a
line, in JSON. The pixels go through shared memory of :data:`SLOTS` equal slots.

A slot belongs to one side at a time. The child never writes to the slot that it
announced last; with the next :data:`WANT` the parent gives that one back, and with
:data:`REFRESH` if there is a newer frame. So no frame can be torn, whatever either
side does in between and whenever it dies.
"""

import enum

import msgspec

from linegate_runtime.sources.base import SourceOptions

WANT = b"w"
REFRESH = b"r"
SLOTS = 3
"""One that the parent reads, one with the newest frame, one that is being written."""

FROZEN_AFTER_S = 2.0
BLACK_BELOW = 12


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base of all messages."""


class Checks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked on the frames of live sources; recorded ones are taken as they are.

    Attributes:
        frozen_after_s: a camera that gives the same picture for so long is opened again;
            such pictures are never used. 0 does not look for them.
        black_below: grey level below which a pixel is black; pictures with hardly any other
            are never used, and the camera is opened again. 0 does not look for them.
    """

    frozen_after_s: float = FROZEN_AFTER_S
    black_below: int = BLACK_BELOW


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the child is to do.

    Attributes:
        source: name of a registered source.
        options: what the source is to open.
        checks: what is checked on its frames.
    """

    source: str
    options: SourceOptions
    checks: Checks = Checks()


class Started(Message, frozen=True, kw_only=True):
    """The child runs and begins to open the address.

    Attributes:
        live: as :meth:`Source.is_live` says.
    """

    live: bool


class Opened(Message, frozen=True, kw_only=True):
    """The first frame has come; the shared memory now has its size.

    Attributes:
        width, height: of the frames as they lie there, after they were turned.
        live: as :meth:`Source.is_live` says.
    """

    width: int
    height: int
    live: bool


class FrameReady(Message, frozen=True, kw_only=True):
    """A frame lies in a slot; the child leaves that slot alone until the next want.

    Attributes:
        number: counts the frames that this child read, from 1.
        monotonic_ns: when it had come in.
        taken_ns: see :class:`~linegate_runtime.frame.Frame`.
        repeated, black: how many frames so far were not used because they were.
    """

    number: int
    slot: int
    monotonic_ns: int
    taken_ns: int
    repeated: int = 0
    black: int = 0


class NoNewer(Message, frozen=True, kw_only=True):
    """Answer to :data:`REFRESH`: the frame announced last is still the newest."""


class Notice(Message, frozen=True, kw_only=True):
    """Something that people should know; the child goes on."""

    message: str


class Ended(Message, frozen=True, kw_only=True):
    """A source that has an end has reached it."""


class Fault(enum.StrEnum):
    """Whose fault a failure is."""

    CAMERA = "camera"
    CONFIG = "config"
    DATA = "data"


class Failed(Message, frozen=True, kw_only=True):
    """The source cannot be opened or is lost; the child ends.

    Attributes:
        again: opening the address anew may help.
        repeated, black: see :class:`FrameReady`.
    """

    fault: Fault
    message: str
    again: bool
    repeated: int = 0
    black: int = 0


Event = Started | Opened | FrameReady | NoNewer | Notice | Ended | Failed

_DECODER: "msgspec.json.Decoder[Event]" = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()


def encode_line(message: Request | Event) -> bytes:
    """Write a message as one line."""
    return _ENCODER.encode(message) + b"\n"


def decode_event(line: bytes) -> Event:
    """Read one event.

    Raises:
        msgspec.DecodeError: the line is no event.
    """
    return _DECODER.decode(line)


def slot_stride(width: int, height: int) -> int:
    """Return how many bytes apart the slots lie: a BGR frame, rounded up to whole pages."""
    page = 4096
    return -(-width * height * 3 // page) * page
