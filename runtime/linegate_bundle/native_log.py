"""Engines written in C++ print to the process's standard error; this catches it."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


class NativeLog:
    """What the native code printed; complete when the block has ended."""

    text = ""


@contextlib.contextmanager
def captured_native_log() -> Iterator[NativeLog]:
    """Catch what native code prints to standard error while the block runs.

    Meant for opening a model: the engines tell why they refuse one only there,
    and greet there too. Other threads' standard error is caught as well.
    """
    log = NativeLog()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        original = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield log
        finally:
            os.dup2(original, 2)
            os.close(original)
            file.seek(0)
            log.text = file.read().decode(errors="replace").strip()
