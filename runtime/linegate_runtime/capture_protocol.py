"""What the capture's process and its parent say to each other.

Parent to child, on the child's standard input: one line with a :class:`Request`
in JSON, then one byte :data:`WANT` whenever the next frame is wanted. The end of
the input means that the parent is gone. Child to parent, on a pipe: one event a
line, in JSON. The pixels go through shared memory of :data:`SLOTS` equal slots.

A slot belongs to one side at a time. The child never writes to the slot that it
announced last; with the next :data:`WANT` the parent gives that one back. So no
frame can be torn, whatever either side does in between and whenever it dies.
"""

import enum

import msgspec

from linegate_runtime.sources.base import SourceOptions

WANT = b"w"
SLOTS = 3
"""One that the parent reads, one with the newest frame, one that is being written."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base of all messages."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the child is to do.

    Attributes:
        source: name of a registered source.
        options: what the source is to open.
    """

    source: str
    options: SourceOptions


class Started(Message, frozen=True, kw_only=True):
    """The child runs and begins to open the address."""


class Opened(Message, frozen=True, kw_only=True):
    """The first frame has come; the shared memory now has its size.

    Attributes:
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
    """

    number: int
    slot: int
    monotonic_ns: int


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
    """

    fault: Fault
    message: str
    again: bool


Event = Started | Opened | FrameReady | Ended | Failed

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
