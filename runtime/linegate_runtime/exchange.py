"""Exchanging the bundle of a running line: tried aside first, and only taken if it works."""

import logging
import threading
from collections.abc import Callable

from linegate_bundle.errors import LinegateError
from linegate_runtime.judge import Judge

_LOG = logging.getLogger(__name__)

_CLOSE_LIMIT_S = 0.2
"""A line that is told to end does not wait for a bundle that it will not use."""


class Exchange:
    """Opens the bundle anew when it is asked to, in a thread of its own.

    A bundle that is damaged, crashes its engine or is looser than allowed is reported, and
    the line goes on with what it has.

    Args:
        open_judge: opens the bundle, probing it in a child first.
        is_asked: says whether somebody asked since it was asked last.
    """

    def __init__(self, open_judge: Callable[[], Judge], is_asked: Callable[[], bool]) -> None:
        self._open_judge = open_judge
        self._is_asked = is_asked
        self._thread: threading.Thread | None = None
        self._ready: Judge | None = None

    def poll(self) -> Judge | None:
        """Return what is ready to be taken, without taking it; starts what was asked for."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread.join()
            self._thread = None
        if self._thread is None and self._is_asked():
            _LOG.info("opening the bundle anew")
            self.drop()
            self._thread = threading.Thread(target=self._open, daemon=True)
            self._thread.start()
        return self._ready if self._thread is None else None

    def take(self) -> Judge | None:
        """Return what is ready; it is the caller's from now on."""
        ready, self._ready = self._ready, None
        return ready

    def drop(self) -> None:
        """Close what is ready and was not taken."""
        ready = self.take()
        if ready is not None:
            ready.model.close()

    def close(self) -> None:
        """Close what is ready; what is still being opened ends with the program."""
        if self._thread is not None:
            self._thread.join(_CLOSE_LIMIT_S)
        self.drop()

    def _open(self) -> None:
        try:
            self._ready = self._open_judge()
        except (LinegateError, OSError) as error:
            _LOG.error(
                "the new bundle is not taken, the line goes on with the one it has: %s", error
            )
        except Exception:  # noqa: BLE001 - this thread has nobody above it who could tell
            _LOG.exception("the new bundle is not taken, the line goes on with the one it has")
