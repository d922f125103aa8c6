"""What a gate and the guard of its pins tell each other.

Messages are packets of a ``SOCK_SEQPACKET`` socket, one MessagePack array each. All times are
``time.monotonic_ns()``, which is the same in all processes of a machine.
"""

import msgspec

from linegate_runtime.sinks.gpio_schedule import Plan

LARGEST = 65536
"""Bytes of the largest message."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


class Setup(_Message, frozen=True):
    """The first message to the guard.

    Attributes:
        pin: the gate's pin, as gpiozero names it.
        active_high: whether the pin is high while it is active.
        heartbeat_pin: pin of the heartbeat; None without one.
        plan: what the gate does.
        answer_ns: beats are answered once in so long.
    """

    pin: int | str
    active_high: bool
    heartbeat_pin: int | str | None
    plan: Plan
    answer_ns: int


class Beat(_Message, frozen=True):
    """The line was alive at ``sent_ns``; a beat that waited for its reader is no news."""

    sent_ns: int


class Expect(_Message, frozen=True):
    """A part has its verdict; see ``Gate.expect``."""

    uuid: str
    begun_ns: int
    is_accepted: bool


class Confirm(_Message, frozen=True):
    """A part's acceptance is on record."""

    uuid: str


class Hold(_Message, frozen=True):
    """Be in the safe state while ``is_held``, and until ``until_ns``."""

    is_held: bool
    until_ns: int


class Opened(_Message, frozen=True):
    """The pins are open and in the safe state.

    Attributes:
        notices: what gpiozero could not use, for the log.
    """

    notices: tuple[str, ...]


class Refused(_Message, frozen=True):
    """The pins cannot be had.

    Attributes:
        message: what was expected, what came and what to do.
    """

    message: str


class Broken(_Message, frozen=True):
    """The pins do not obey any more.

    Attributes:
        message: what was expected, what came and what to do.
    """

    message: str


class Alive(_Message, frozen=True):
    """A beat was heard.

    Attributes:
        late: how many parts were rejected so far for being late.
    """

    late: int


Order = Beat | Expect | Confirm | Hold
Answer = Opened | Refused | Broken | Alive

_SETUPS = msgspec.msgpack.Decoder(Setup)
_ORDERS: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)

encode = msgspec.msgpack.Encoder().encode
decode_setup = _SETUPS.decode
decode_order = _ORDERS.decode
decode_answer = _ANSWERS.decode
