"""Starting a camera's process; imports next to nothing, so that it can be the first thing done."""

import contextlib
import os
import subprocess
import sys

_KILL_LIMIT_S = 1.0
"""So long a killed process is waited for."""

_CHILD_ENVIRONMENT = {
    # Threads for linear algebra, which nobody needs here, cost start-up time.
    "OPENBLAS_NUM_THREADS": "1",
    # The C library takes each decoded picture's memory from its heap and keeps it there for the
    # next one, where by itself it gives the pages back and asks for them again, now and then.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""What a camera's process is started with, unless the environment says otherwise."""


class Child:
    """A camera's process that has just been started and waits for its request.

    Starting Python and loading OpenCV takes longer than all that comes before, so
    ``linegate run`` starts one before it knows what for. If its end of the pipe is closed
    before a request has come, it ends by itself.

    Attributes:
        process: its handle.
        requests: descriptor of the pipe to it.
        events: descriptor of the pipe from it.
        memory: descriptor of the memory shared with it.

    Raises:
        OSError: the system refuses to start it.
    """

    def __init__(self) -> None:
        with contextlib.ExitStack() as on_error, contextlib.ExitStack() as childs:
            memory = _closing(on_error, _shared_memory())
            child_requests, requests = os.pipe()
            childs.callback(os.close, child_requests)
            _closing(on_error, requests)
            events, child_events = os.pipe()
            childs.callback(os.close, child_events)
            _closing(on_error, events)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "linegate_runtime.capture_child"),
                    *(str(memory), str(child_events)),
                ],
                stdin=child_requests,
                pass_fds=(memory, child_events),
                env={**_CHILD_ENVIRONMENT, **os.environ},
                # Ctrl-C in a terminal is for the parent, which ends the child in order.
                start_new_session=True,
            )
            on_error.pop_all()
        self.process = process
        self.requests, self.events, self.memory = requests, events, memory

    def close(self) -> None:
        """Kill the process; what it held is freed by the system."""
        self.process.kill()
        # A driver that does not return from the kernel keeps even a killed process for a while.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_LIMIT_S)
        for descriptor in (self.requests, self.events, self.memory):
            os.close(descriptor)


def _closing(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _shared_memory() -> int:
    """Return the descriptor of new, nameless memory that a child can map."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("linegate-frames", os.MFD_CLOEXEC)
    import tempfile  # noqa: PLC0415 - takes time to load, and is hardly ever needed

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
