"""What the inspecting process and the process of its outputs say to each other.

One message a datagram in JSON, over a pair of sockets that keep them apart (SOCK_SEQPACKET).
The end of the stream means that the other is gone.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from linegate_runtime.line_report import LineReport

_MOST_BYTES = 1 << 17
"""Longer messages do not come; the system's own limit for one is beyond it."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base of all messages."""


class SinkSetup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sink to open.

    Attributes:
        name: of the sink.
        kind: its name in the registry.
        options: as plain values; they were checked.
        record: the own name of the record that its place is in.
        place: number of the last row that it has got.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    record: str
    place: int


class Setup(Message, frozen=True, kw_only=True):
    """Parent to child, first: what to do.

    Attributes:
        record: the record's file.
        sinks: to be fed from it.
        listen: where metrics and health are served, host and port; None nowhere.
        is_debugging: whether details are logged.
        is_log_json: whether the log is for programs.
    """

    record: str
    sinks: tuple[SinkSetup, ...]
    listen: tuple[str, int] | None = None
    is_debugging: bool = False
    is_log_json: bool = False


class Pulse(Message, frozen=True, kw_only=True):
    """Parent to child, about ten times a second: the line is alive.

    Attributes:
        report: how it does.
    """

    report: LineReport


class Committed(Message, frozen=True, kw_only=True):
    """Parent to child: there is something new on record."""


class Goodbye(Message, frozen=True, kw_only=True):
    """Parent to child: the line ends; deliver what can be at once, and end too."""


class Opened(Message, frozen=True, kw_only=True):
    """Child to parent: all sinks are open."""


class Refused(Message, frozen=True, kw_only=True):
    """Child to parent: these cannot be opened, as sentences; the child ends."""

    problems: tuple[str, ...]


class Delivered(Message, frozen=True, kw_only=True):
    """Child to parent: a sink has got all rows of a record up to a number.

    Attributes:
        sink: its name.
        record: the record's own name.
        number: of the row.
    """

    sink: str
    record: str
    number: int


class Alive(Message, frozen=True, kw_only=True):
    """Child to parent, about twenty times a second."""


ToChild = Setup | Pulse | Committed | Goodbye
ToParent = Opened | Refused | Delivered | Alive

_ENCODER = msgspec.json.Encoder(enc_hook=str)
_TO_CHILD: "msgspec.json.Decoder[ToChild]" = msgspec.json.Decoder(ToChild)
_TO_PARENT: "msgspec.json.Decoder[ToParent]" = msgspec.json.Decoder(ToParent)


def send(connection: socket.socket, message: ToChild | ToParent) -> bool:
    """Send a message at once; return False if the other does not take it or is gone."""
    try:
        connection.send(_ENCODER.encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def receive_as_child(connection: socket.socket) -> ToChild | None:
    """Wait for a message of the parent; None if it is gone."""
    content = _receive(connection)
    return _TO_CHILD.decode(content) if content else None


def receive_as_parent(connection: socket.socket) -> ToParent | None:
    """Wait for a message of the child; None if it is gone."""
    content = _receive(connection)
    return _TO_PARENT.decode(content) if content else None


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_MOST_BYTES)
    except ConnectionError:
        return b""


def plain_options(options: msgspec.Struct) -> dict[str, Any]:
    """Return a sink's options as plain values, paths made absolute."""
    values: dict[str, Any] = msgspec.to_builtins(options, enc_hook=_plain)
    return values


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value.absolute())
    raise TypeError(f"expected a plain value or a path, got {type(value).__name__}")


def typed_options(values: Mapping[str, Any], type_: type[msgspec.Struct]) -> msgspec.Struct:
    """Return what :func:`plain_options` was given."""

    def restore(wanted: type, value: object) -> object:
        if issubclass(wanted, Path):
            return wanted(str(value))
        raise TypeError(f"expected a plain value or a path, got {wanted.__name__}")

    return msgspec.convert(dict(values), type_, dec_hook=restore)
