"""A disk that fills up, made with the limit that the kernel sets on the size of a file."""

import contextlib
import resource
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond ``size_bytes`` while the body runs: writing raises an ``OSError``.

    Keep the body to the call under test: the limit is the whole process's, so it holds for the
    test runner's own output too when that goes to a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
