"""Python in a process of its own, which may crash natively or hang."""

import signal
import subprocess
import sys
from collections.abc import Sequence

LIMIT_S = 30.0
"""For loading the largest library from the slowest card; what takes longer hangs."""


class ChildError(Exception):
    """The child crashed, hung or ended with an error; the message ends the sentence "it ..."."""


def run_python(arguments: Sequence[str], limit_s: float = LIMIT_S) -> str:
    """Run this Python with arguments and return what it printed.

    Args:
        arguments: of Python.
        limit_s: after so long it is killed.

    Raises:
        ChildError: says how it ended, by name if by a signal.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"hangs for {limit_s:g} s") from error
    check_end(done.returncode, done.stderr)
    return done.stdout


def check_end(code: int, complaints: str) -> None:
    """Raise :class:`ChildError` unless a child has ended well.

    Args:
        code: its exit code; a signal as a negative number.
        complaints: what it wrote to its standard error.
    """
    if code < 0:
        raise ChildError(f"crashes natively ({_signal_name(-code)})")
    if code:
        lines = complaints.strip().splitlines() or [f"exit code {code}"]
        raise ChildError(f"fails: {lines[-1]}")


def _signal_name(number: int) -> str:
    # Real-time signals have numbers only.
    names = {one.value: one.name for one in signal.Signals}
    return names.get(number, f"signal {number}")
