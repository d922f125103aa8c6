"""Addresses as ``HOST:PORT``, and whether a server can listen there."""

import ipaddress
import socket
from typing import NamedTuple

from linegate_bundle.errors import ConfigError

_LAST_PORT = 65535


class HostPort(NamedTuple):
    """Where a server listens.

    Attributes:
        host: a name or an address, of IPv6 without brackets.
        port: from 1 to 65535.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse(text: str) -> HostPort | None:
    """Return an address that is written as ``HOST:PORT`` or ``[IPV6]:PORT``; None if it is not."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not host or not host.isprintable() or " " in host or "/" in host:
        return None
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _LAST_PORT):
        return None
    return HostPort(host, int(port))


def problem(text: str) -> str | None:
    """Return what is wrong with an address, for ``SinkOptions.problems``; None if nothing is."""
    if parse(text) is not None:
        return None
    # Not repeated: who writes an address may have put a password into it.
    return "expected HOST:PORT such as 127.0.0.1:502, got something else"


def check_free(address: HostPort, kind: str) -> None:
    """See whether a server could listen there.

    Raises:
        ConfigError: the port is taken or needs other rights, or the address is not this machine's.
    """
    try:
        family, kind_, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind_, protocol) as probe:
            # As servers do: a port that was closed a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise ConfigError(cannot_listen(address, kind, error)) from error


def cannot_listen(address: HostPort, kind: str, error: Exception) -> str:
    """Return the message for a port that cannot be had."""
    reason = getattr(error, "strerror", None) or error
    return (
        f"the sink {kind} cannot listen on {address}: {reason}; give an address of this machine "
        "and a port that no other program has, from 1024 on unless linegate may use lower ones"
    )
