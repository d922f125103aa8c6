"""Telling what the export is doing: one line a step, a bar inside a long one."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import tqdm

T = TypeVar("T")


class Steps:
    """Announces steps in order, each with the seconds since the start.

    Args:
        total: how many steps there will be.
        write: takes one line; the default says nothing.
    """

    def __init__(self, total: int, write: Callable[[str], None] = lambda _: None) -> None:
        self._total = total
        self._write = write
        self._number = 0
        self._start_s = time.monotonic()

    def __call__(self, text: str) -> None:
        """Announce the next step."""
        self._number += 1
        elapsed_s = time.monotonic() - self._start_s
        self._write(f"[{self._number}/{self._total}] {text} ({elapsed_s:.0f} s)")

    def note(self, text: str) -> None:
        """Say something about the step that is running."""
        self._write(f"      {text}")


def bar(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """Yield ``items`` behind a progress bar on standard error; none if that is no terminal."""
    with tqdm.tqdm(
        items, desc=f"      {title}", total=total, disable=None, leave=False, file=sys.stderr
    ) as progress:
        yield from progress
