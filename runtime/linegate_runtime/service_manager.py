"""Tells the service manager, systemd, how the service does.

Its protocol is a datagram to a Unix socket: sd_notify(3), and sd_watchdog_enabled(3) for the
environment. Where no manager asks, nothing is sent.
"""

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self

_LOG = logging.getLogger(__name__)

_BEATS = 4
"""So many beats fit in the time after which the manager takes the service for dead; the manual
asks for two."""

_AGAIN_S = 0.1
"""So long after the manager did not take something it is told again."""


class ServiceManager:
    """The manager of this process; does nothing if there is none.

    Args:
        address: of the socket: a path, or a name in the abstract namespace after ``@``; None
            without a manager.
        watchdog_s: after so long without a beat the manager kills the service; None if it
            does not watch.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._socket = None
        self._period_s = None if watchdog_s is None else watchdog_s / _BEATS
        self._beat_at = 0.0
        self._untold: dict[str, str] = {}
        self._again_at = 0.0
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # The manager may be slow; a part is not to wait for that.
            self._socket.setblocking(False)

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Self:
        """Find the manager, and take its variables away so that no child speaks to it.

        Args:
            environment: of this process, such as ``os.environ``.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return cls()
        is_watched = watchdog_us.isdecimal() and int(watchdog_us) > 0
        # Without a process it is meant for whoever reads it.
        is_meant = pid in ("", str(os.getpid()))
        return cls(address, int(watchdog_us) / 1e6 if is_watched and is_meant else None)

    @property
    def is_there(self) -> bool:
        """Whether a manager listens."""
        return self._socket is not None

    def ready(self) -> None:
        """Say that the service has started."""
        self._say("READY", "1")

    def beat(self) -> None:
        """Say that the service is alive, as often as the manager wants to hear it.

        What it could not be told before is told again, whether it watches or not.
        """
        if self._untold and time.monotonic() >= self._again_at:
            for name, value in list(self._untold.items()):
                self._say(name, value)
        if self._period_s is not None and time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + self._period_s
            self._say("WATCHDOG", "1")

    def tell(self, status: str) -> None:
        """Say in a line how the service does; ``systemctl status`` shows it."""
        self._say("STATUS", " ".join(status.split()))

    def stopping(self) -> None:
        """Say that the service ends."""
        self._untold.clear()
        self._say("STOPPING", "1")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, name: str, value: str) -> None:
        """Send an assignment, and keep the newest of each name until it has been taken."""
        if self._socket is None or self._address is None:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            # A status may hold what is no text, such as a file's name.
            self._socket.sendto(f"{name}={value}".encode(errors="replace"), address)
        except OSError as error:
            # A line does not end because nobody listens, nor because the socket is full.
            if name not in self._untold:
                _LOG.debug("the service manager was not told %s=%s: %s", name, value, error)
            self._untold[name] = value
            self._again_at = time.monotonic() + _AGAIN_S
        else:
            self._untold.pop(name, None)
