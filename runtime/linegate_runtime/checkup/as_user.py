"""Lets a child try a line as the user who runs it, for root, who trusts nothing of that user's.

The child shares neither terminal, environment nor rights with this process. What it says is
bounded, and is nothing but text.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence

import msgspec

from linegate_runtime.checkup.base import Finding, Outcome, Subject, failed
from linegate_runtime.checkup.child import ChildError, check_end
from linegate_runtime.checkup.trial import Trial
from linegate_runtime.checkup.users import User

_CHILD = ("-P", "-m", "linegate_runtime.checkup.as_service")

_SETPRIV = "/usr/bin/setpriv"
"""Of util-linux, which Debian cannot be without: setpriv(1)."""

_NO_MORE_RIGHTS = ("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
"""Without these a user who may use sudo, or any program with rights of its own, got more."""

_SUBJECTS = frozenset({Subject.CONFIGURATION, Subject.ENGINE, Subject.CAMERA})
"""What the child looks at."""

_HANDED_ON = ("PATH", "LANG", "LC_ALL", "TZ")
"""Of the environment, what a service has too."""

_UMASK = 0o027

_CHUNK_BYTES = 1 << 16

_MOST_BYTES = 1 << 20
"""What all findings of a hundred cameras take is far less."""

_KILL_LIMIT_S = 1.0
"""So long a killed process is waited for."""

_LOOK_S = 0.01
"""So often it is looked whether a process that has closed its output has ended."""


def try_as(user: User, trial: Trial, limit_s: float) -> Iterator[Finding]:
    """Try a line's engine and cameras as another user; only root can.

    Args:
        user: who runs the line.
        trial: what is tried.
        limit_s: for all of it.
    """
    subject = Subject.ENGINE
    try:
        with contextlib.closing(run_as(user, (*_CHILD, trial.encode()), limit_s)) as lines:
            for finding in _findings(lines):
                # What ends the child after its first finding is a camera's matter.
                subject = Subject.CAMERA
                yield _told_of(user, finding)
    except ChildError as error:
        text = f"what tries it as the user {user.name} {error}"
        advice = f"sudo -H -u {user.name} linegate doctor looks at the same"
        yield failed(subject, text, advice)


def run_as(user: User, arguments: Sequence[str], limit_s: float) -> Generator[bytes, None, None]:
    """Run this Python as another user, and give each line that it prints as soon as it comes.

    Args:
        user: who runs it, with all groups.
        arguments: of Python.
        limit_s: after so long it is killed.

    Raises:
        ChildError: says how it ended.
    """
    end = time.monotonic() + limit_s
    try:
        process = subprocess.Popen(
            [*_setpriv(user), sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=_UMASK,
            cwd=user.home if os.path.isdir(user.home) else "/",  # noqa: PTH112 - never raises
            env=environment_of(user),
            # Nothing can be typed into the terminal of whoever looks.
            start_new_session=True,
        )
    except OSError as error:
        raise ChildError(f"cannot be started: {_SETPRIV}: {error.strerror}") from error
    with contextlib.ExitStack() as stack:
        out, errors = _pipes(process, stack)
        stack.callback(_kill, process)
        complaints = bytearray()
        try:
            yield from _lines(out, errors, complaints, end)
            _await_end(process.pid, end)
        except TimeoutError as error:
            raise ChildError(f"hangs for {limit_s:g} s") from error
        _kill(process)
        code = process.wait()
        # What it has left there; a process that has left its session may still hold the pipe.
        os.set_blocking(errors, False)
        with contextlib.suppress(BlockingIOError):
            complaints += os.read(errors, _CHUNK_BYTES)
        check_end(code, _plain(complaints.decode(errors="replace")))


def environment_of(user: User) -> dict[str, str]:
    """Return what a user's process starts with: nothing of the caller's own."""
    kept = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    own = {"HOME": user.home, "USER": user.name, "LOGNAME": user.name}
    # What the user has put into its home must not run, or it could write the findings.
    return {**kept, **own, "PYTHONNOUSERSITE": "1"}


def _setpriv(user: User) -> list[str]:
    """Return what runs the command after it as a user who has no way to more rights."""
    groups = ",".join(str(gid) for gid in sorted(user.groups))
    ids = ["--reuid", str(user.uid), "--regid", str(user.gid), "--groups", groups]
    # The first keeps root's capabilities until it executes something, and so would start what
    # the user may not; the second has none.
    return [_SETPRIV, *ids, *_NO_MORE_RIGHTS, "--", _SETPRIV, "--no-new-privs", "--"]


def _pipes(process: "subprocess.Popen[bytes]", stack: contextlib.ExitStack) -> tuple[int, int]:
    """Return the ends of a process's output and complaints, which the stack closes."""
    if process.stdout is None or process.stderr is None:
        raise TypeError("expected a process with pipes")
    pipes = stack.enter_context(process.stdout), stack.enter_context(process.stderr)
    return pipes[0].fileno(), pipes[1].fileno()


def _lines(out: int, errors: int, complaints: bytearray, end: float) -> Iterator[bytes]:
    """Give what comes of a process line by line, and keep the last that it complains of.

    Raises:
        ChildError: it says too much.
        TimeoutError: it takes too long.
    """
    is_open = {out, errors}
    rest = b""
    taken_bytes = 0
    while out in is_open:
        left_s = end - time.monotonic()
        ready = select.select(is_open, (), (), left_s)[0] if left_s > 0 else []
        if not ready:
            raise TimeoutError
        for pipe in ready:
            chunk = os.read(pipe, _CHUNK_BYTES)
            if not chunk:
                is_open.remove(pipe)
            elif pipe == errors:
                complaints += chunk
                del complaints[:-_CHUNK_BYTES]
            else:
                rest += chunk
                taken_bytes += len(chunk)
        if taken_bytes > _MOST_BYTES:
            raise ChildError(f"says more than {_MOST_BYTES} bytes")
        *whole, rest = rest.split(b"\n")
        yield from whole


def _findings(lines: Iterable[bytes]) -> Iterator[Finding]:
    is_silent = True
    for line in lines:
        is_silent = False
        yield _read(line)
    if is_silent:
        raise ChildError("says nothing")


def _read(line: bytes) -> Finding:
    try:
        finding = msgspec.json.decode(line, type=Finding)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ChildError("says what is no finding") from error
    if finding.subject not in _SUBJECTS:
        raise ChildError(f"speaks of {finding.subject}, which it was not asked")
    return finding


def _told_of(user: User, finding: Finding) -> Finding:
    """Return a finding as it may be shown: who looked, and nothing that steers a terminal."""
    detail = _plain(finding.detail)
    if finding.outcome is not Outcome.OK:
        detail += f" (tried as the user {user.name})"
    advice = None if finding.advice is None else _plain(finding.advice)
    return msgspec.structs.replace(finding, detail=detail, advice=advice)


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


def _await_end(pid: int, end: float) -> None:
    """Wait until a process has ended, and do not reap it: its number stays its session's.

    Raises:
        TimeoutError: it takes too long.
    """
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() >= end:
            raise TimeoutError
        time.sleep(_LOOK_S)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it and what it has started in its session, also if only that is left."""
    # Once it is reaped its number may be another's; then this was done before.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # A driver that does not return from the kernel keeps even a killed process for a while.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_LIMIT_S)
