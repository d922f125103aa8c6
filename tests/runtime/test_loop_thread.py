"""An asyncio loop in a thread."""

import asyncio
import threading
import time

import pytest

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks.loop_thread import LoopThread
from tests.runtime.controller_support import wait_for


async def nothing() -> None:
    await asyncio.sleep(0)


def test_what_takes_too_long_is_cancelled_and_the_loop_goes_on() -> None:
    loop = LoopThread("trial")
    is_cancelled = threading.Event()

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            is_cancelled.set()

    with pytest.raises(TimeoutError):
        loop.run(sleep, 0.05)
    assert is_cancelled.wait(1)
    assert loop.run(lambda: asyncio.sleep(0, "well"), 1.0) == "well"
    loop.close(nothing)


def test_work_that_was_to_go_on_for_ever_and_fails_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = LoopThread("trial")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no such thing")

    loop.start(fail)
    wait_for(lambda: "trial: stopped working" in caplog.text)
    assert "no such thing" in caplog.text
    loop.close(nothing)


def test_closing_takes_less_than_a_second_whatever_the_farewell_does() -> None:
    loop = LoopThread("trial")
    began = time.monotonic()
    loop.close(lambda: asyncio.sleep(60))
    assert time.monotonic() - began < 0.9
    wait_for(lambda: all(one.name != "linegate trial" for one in threading.enumerate()))
    with pytest.raises(OutputError, match="trial: it is closed"):
        loop.run(nothing, 1.0)
    with pytest.raises(OutputError, match="trial: it is closed"):
        loop.start(nothing)
