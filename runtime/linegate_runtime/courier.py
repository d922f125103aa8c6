"""Brings what is on record to one sink, at least once and in order, in a thread of its own."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from linegate_bundle.errors import LinegateError
from linegate_runtime.feed import Feed
from linegate_runtime.sinks import Sink

_LOG = logging.getLogger(__name__)

_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits after the first, second, ... failure in a row; the last one for all further."""

_LOOK_S = 1.0
"""Looks at the record so often though nobody says that there is something new."""

_REPEAT_S = 60.0
"""The same complaint is logged again after so long only."""


class Courier:
    """Delivers until it is closed.

    Args:
        name: of the sink.
        sink: closed with this.
        feed: closed with this.
        on_place: told of how far the sink has got, by its name, the record's own name and the
            row's number; called in the courier's thread.

    Attributes:
        problem: why the sink does not take anything just now, as a sentence; None if it does.
        has_no_reader: the reader of the standard output has gone; nothing more is delivered.
    """

    def __init__(
        self, name: str, sink: Sink[Any], feed: Feed, on_place: Callable[[str, str, int], None]
    ) -> None:
        self.name = name
        self.sink = sink
        self.problem: str | None = None
        self.has_no_reader = False
        self._feed = feed
        self._on_place = on_place
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._is_closing = threading.Event()
        self._complained_at = float("-inf")
        self._waiting = 0
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new on record."""
        with self._lock:
            self._idle.clear()
            self._woken.set()

    @property
    def waiting(self) -> int:
        """How many parts the sink has not got yet, as of its last look."""
        return self._waiting

    def drain(self, limit_s: float) -> bool:
        """Wait until all is delivered that is on record; return whether it is."""
        self.wake()
        return self._idle.wait(limit_s)

    def close(self, limit_s: float = 1.0) -> None:
        """Stop delivering; what is left is delivered by the next run, if the sink is remembered."""
        self._is_closing.set()
        self._woken.set()
        self.sink.close()
        self._thread.join(limit_s)

    def _run(self) -> None:
        failures = 0
        while not self._is_closing.is_set():
            self._woken.clear()
            try:
                if self._deliver_next():
                    failures = 0
                    continue
                failures = 0
                self._rest()
            except BrokenPipeError:
                self.has_no_reader = True
                self._idle.set()
                break
            except (LinegateError, OSError) as error:
                self._complain(str(error))
            except Exception as error:  # noqa: BLE001 - a sink's bug must not end the others
                self._complain(f"a bug: {type(error).__name__}: {error}")
                _LOG.debug("output %s", self.name, exc_info=error)
            if self.problem is not None:
                wait_s = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
                failures += 1
                # Sinks that failed together do not all try at the same moment.
                self._is_closing.wait(wait_s * random.uniform(0.8, 1.2))
        self._feed.close()

    def _rest(self) -> None:
        with self._lock:
            if self._woken.is_set():
                return
            self._idle.set()
        self._woken.wait(_LOOK_S)

    def _deliver_next(self) -> bool:
        """Deliver the next few rows; return whether there were any."""
        parts = self._feed.read(self.sink.batch)
        self._waiting = self._feed.waiting
        if parts:
            self.sink.deliver(parts)
        if self.problem is not None:
            _LOG.info("output %s: works again", self.name)
            self.problem = None
        if not parts:
            return False
        last = parts[-1].number
        self._feed.advance(last)
        self._on_place(self.name, self._feed.name, last)
        self._waiting = self._feed.waiting
        return True

    def _complain(self, problem: str) -> None:
        if self._is_closing.is_set():
            return
        now = time.monotonic()
        if self.problem is None or now - self._complained_at > _REPEAT_S:
            self._complained_at = now
            _LOG.warning("output %s: %s; trying again", self.name, problem)
        self.problem = problem
