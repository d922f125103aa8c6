"""The guard of a gate's pins, seen from the gate: one process, from its start to its end."""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.sinks.gpio_protocol import (
    LARGEST,
    Alive,
    Answer,
    Broken,
    Opened,
    Refused,
    Setup,
    decode_answer,
    encode,
)

_OPEN_LIMIT_S = 10.0
"""For starting Python, loading gpiozero and opening the pins, from a cold SD card too."""

_END_LIMIT_S = 0.8
"""For a guard to bring its pins to rest and end, before it is killed."""

_KILL_LIMIT_S = 1.0
"""So long a killed process is waited for."""

_LOOK_MS = 50.0
"""How often a wait for the pins looks whether it is still wanted."""


class GuardProcess:
    """A guard that has just been started; its pins are not open yet.

    Args:
        setup: its pins, and what they are for.

    Attributes:
        process: its handle.

    Raises:
        OSError: the system refuses to start it.
    """

    def __init__(self, setup: Setup) -> None:
        self._link, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with childs, contextlib.ExitStack() as on_error:
            on_error.callback(self._link.close)
            self._link.setblocking(False)
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "linegate_runtime.sinks.gpio_guard"),
                    str(childs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(childs.fileno(),),
                # Ctrl-C in a terminal is for the parent, which ends the guard in order.
                start_new_session=True,
            )
            self._link.send(encode(setup))
            on_error.pop_all()

    def wait_open(self, is_over: Callable[[], bool]) -> tuple[str, ...]:
        """Wait until the pins are open and in their safe state.

        Args:
            is_over: whether there is no need to wait any more.

        Returns:
            What gpiozero could not use, for the log.

        Raises:
            ConfigError: the pins cannot be had.
            OutputError: it has ended, does not open them in ten seconds, or it is over.
        """
        deadline = time.monotonic() + _OPEN_LIMIT_S
        while time.monotonic() < deadline and not is_over():
            answer = self.hear(_LOOK_MS)
            if isinstance(answer, Opened):
                return answer.notices
        raise OutputError(
            f"expected the guard of the pins to open them within {_OPEN_LIMIT_S:g} s, it did not"
        )

    def send(self, content: bytes) -> bool:
        """Send a message, at once; say whether there was room for it.

        A guard that has ended takes everything: its end is heard, not felt.
        """
        try:
            self._link.send(content)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def hear(self, wait_ms: float) -> Answer | None:
        """Return the next answer, None if none comes in time.

        Raises:
            ConfigError: the pins cannot be had.
            OutputError: the guard has ended, or its pins do not obey.
        """
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        if not poller.poll(wait_ms):
            return None
        try:
            content = self._link.recv(LARGEST)
        except ConnectionResetError:  # it died with orders unread
            content = b""
        if not content:
            raise OutputError(self._how_it_ended())
        answer = decode_answer(content)
        if isinstance(answer, Refused):
            raise ConfigError(answer.message)
        if isinstance(answer, Broken):
            raise OutputError(answer.message)
        return answer

    def hear_late(self, wait_ms: float) -> int | None:
        """Return how many parts came late until the next sign of life, None if none comes."""
        answer = self.hear(wait_ms)
        return answer.late if isinstance(answer, Alive) else None

    def end(self) -> None:
        """Tell it that there is nothing more to come: it brings its pins to rest and ends."""
        with contextlib.suppress(OSError):  # it has ended already
            self._link.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let it bring its pins to rest and end, within a second."""
        self._link.close()
        try:
            self.process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once; the pins stay as they are or are let go."""
        self._link.close()
        self.process.kill()
        # A driver that does not return from the kernel keeps even a killed process for a while.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_LIMIT_S)

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(_KILL_LIMIT_S)
        except subprocess.TimeoutExpired:
            return "the guard of the pins has closed its end, and hangs"
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the guard of the pins {how}"
