"""An asyncio loop in a thread of its own, for libraries that want one."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from linegate_bundle.errors import OutputError

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_DRAIN_S = 0.2
_FAREWELL_S = 0.4
_JOIN_S = 0.9
"""Together with what is drained and said at the end this stays within a second."""


class LoopThread:
    """Runs coroutines for other threads.

    Args:
        name: of the thread and in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._is_closed = False
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._work, name=f"linegate {name}", daemon=True)
        self._thread.start()

    def run(self, make: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Run a coroutine and return its result.

        Args:
            make: makes the coroutine.
            timeout_s: after that it is cancelled.

        Raises:
            OutputError: the thread is closed, or was meanwhile.
            TimeoutError: it took longer.
        """

        async def work() -> T:
            return await asyncio.wait_for(make(), timeout_s)

        future = self._submit(work)
        try:
            # The loop keeps the time; this is for a loop that hangs.
            return future.result(timeout_s + 1.0)
        except concurrent.futures.CancelledError:
            raise OutputError(f"{self._name}: closed while it delivered") from None
        finally:
            future.cancel()

    def start(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine until the thread is closed."""
        self._submit(make).add_done_callback(self._ended)

    def close(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel all, say farewell and end the thread, within a second; a second call does nothing.

        Args:
            farewell: makes the last coroutine; it is cut off after 0.4 s, and what it raises
                is of no interest any more.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        asyncio.run_coroutine_threadsafe(self._end(farewell), self._loop)
        self._thread.join(_JOIN_S)

    def _submit(self, make: Callable[[], Awaitable[T]]) -> "concurrent.futures.Future[T]":
        with self._lock:
            if self._is_closed:
                raise OutputError(f"{self._name}: it is closed")
            return asyncio.run_coroutine_threadsafe(self._own(make), self._loop)

    async def _own(self, make: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            return await make()
        finally:
            self._tasks.discard(task)

    async def _end(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            # Those of the library are left to the farewell, which may wait for them.
            await _cancel(self._tasks)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(farewell(), _FAREWELL_S)
        finally:
            self._loop.stop()

    def _work(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel(asyncio.all_tasks(self._loop)))
            # Sockets are closed one turn after their transports.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _ended(self, future: "concurrent.futures.Future[None]") -> None:
        if not future.cancelled() and future.exception() is not None:
            _LOG.error("%s: stopped working", self._name, exc_info=future.exception())

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what no coroutine caught, such as garbage from a client, whose connection ends."""
        del loop
        _LOG.debug("%s: %s: %s", self._name, context.get("message"), context.get("exception"))


async def _cancel(tasks: Iterable["asyncio.Task[Any] | None"]) -> None:
    current = asyncio.current_task()
    others = [task for task in tasks if task is not None and task is not current]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=_DRAIN_S)
