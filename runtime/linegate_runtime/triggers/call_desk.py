"""Calls from other programs, the parts that they begin, and the verdicts that they get back.

Triggers of several cameras or regions that listen at the same place share one desk: a call is
then a part in each of them, and its answer says the worst of their verdicts.
"""

import abc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Sequence

import msgspec

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import Recorded

_LOG = logging.getLogger(__name__)

_WORST_FIRST = (Verdict.REJECT, Verdict.UNSURE, Verdict.ACCEPT)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gets back.

    Attributes:
        verdict: the worst of its parts; reject if one has none yet.
        is_late: a part has no verdict that is on record; it may get one, which counts no more.
        parts: those that are on record.
    """

    verdict: Verdict
    is_late: bool
    parts: tuple[Recorded, ...]

    def document(self) -> dict[str, object]:
        """Return it as plain values for JSON: each part as its row, with its place on record."""
        parts = [
            {
                **msgspec.structs.asdict(part.row),
                "record": part.number,
                "record_hash": part.hash,
            }
            for part in self.parts
        ]
        return {"verdict": self.verdict, "is_late": self.is_late, "parts": parts}


class Clerk:
    """One trigger's end of a desk; its methods are called by several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._begun: list[tuple[int, int]] = []
        self._awaited: dict[int, Recorded | None] = {}

    def begin(self, now_ns: int) -> int:
        """Begin a part and return its number."""
        with self._changed:
            self._count += 1
            self._begun.append((self._count, now_ns))
            self._awaited[self._count] = None
            return self._count

    def take_begun(self) -> list[tuple[int, int]]:
        """Return number and ``time.monotonic_ns()`` of the parts begun since the last call."""
        if not self._begun:
            return []
        with self._changed:
            begun, self._begun = self._begun, []
            return begun

    def tell(self, parts: Sequence[Recorded]) -> None:
        """Take the verdicts of parts that are on record."""
        with self._changed:
            for part in parts:
                if part.row.part in self._awaited:
                    self._awaited[part.row.part] = part
            self._changed.notify_all()

    def collect(self, number: int, deadline: float) -> Recorded | None:
        """Wait for a part's verdict, until ``time.monotonic()`` is there; None without it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._awaited[number] is not None, max(0.0, deadline - time.monotonic())
            )
            return self._awaited.pop(number)


class Front(abc.ABC):
    """How calls come in."""

    @abc.abstractmethod
    def close(self) -> None:
        """Take no more calls; a second call does nothing."""


class CallDesk:
    """Passes calls on to the triggers behind it.

    Args:
        answer_within_s: a call that has no verdict by then is answered with a rejection.
    """

    def __init__(self, answer_within_s: float) -> None:
        self._answer_within_s = answer_within_s
        self._clerks: tuple[Clerk, ...] = ()
        self._fronts: list[Front] = []

    def call(self) -> Answer:
        """Begin a part in each trigger and wait for their verdicts."""
        now_ns = time.monotonic_ns()
        deadline = now_ns / 1e9 + self._answer_within_s
        begun = [(clerk, clerk.begin(now_ns)) for clerk in self._clerks]
        given = [clerk.collect(number, deadline) for clerk, number in begun]
        parts = tuple(part for part in given if part is not None)
        is_late = not given or len(parts) < len(given)
        verdicts = {part.row.verdict for part in parts}
        worst = next((one for one in _WORST_FIRST if one in verdicts), Verdict.REJECT)
        return Answer(verdict=Verdict.REJECT if is_late else worst, is_late=is_late, parts=parts)

    def join(self, clerk: Clerk) -> None:
        """Pass calls on to a trigger too."""
        self._clerks = (*self._clerks, clerk)

    def leave(self, clerk: Clerk) -> None:
        """Pass no more on to it; who leaves last closes the desk."""
        self._clerks = tuple(one for one in self._clerks if one is not clerk)
        if not self._clerks:
            fronts, self._fronts = self._fronts, []
            for front in fronts:
                front.close()

    def open(self, open_fronts: Callable[["CallDesk"], list[Front]]) -> None:
        """Let calls in."""
        self._fronts = open_fronts(self)

    @property
    def is_open(self) -> bool:
        """Whether calls can come in."""
        return bool(self._fronts)


_OPEN: "weakref.WeakValueDictionary[Hashable, CallDesk]" = weakref.WeakValueDictionary()
"""Desks that are open in this process, by where they listen."""


def open_desk(
    place: Hashable, answer_within_s: float, open_fronts: Callable[[CallDesk], list[Front]]
) -> CallDesk:
    """Open a desk, or share the one that is open at the same place.

    Args:
        place: where it listens.
        answer_within_s: see :class:`CallDesk`.
        open_fronts: lets calls in.

    Raises:
        ConfigError: it cannot listen there.
    """
    known = _OPEN.get(place)
    if known is not None and known.is_open:
        return known
    desk = CallDesk(answer_within_s)
    desk.open(open_fronts)
    _OPEN[place] = desk
    return desk
