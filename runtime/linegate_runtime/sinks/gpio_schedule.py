"""When the pins of a gate change: pure logic, told of all that happens and of the time.

All times are ``time.monotonic_ns()``, in nanoseconds. What is unsure is decided to the safe side:
a part is accepted only if its acceptance was confirmed before its time, and never from the safe
state.
"""

import enum

import msgspec

CONFIRM_LIMIT_NS = 500_000_000
"""Without a delay, a part whose acceptance is not confirmed for so long is rejected."""

LATE_LIMIT_NS = 50_000_000
"""A pulse that would begin later than this after its time could move the next part instead."""

MOST_PARTS = 1000
"""So many parts may be on their way to the gate."""


class Mode(enum.StrEnum):
    """What the pin's pulse does with a part."""

    ACCEPT = "accept"
    REJECT = "reject"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate does; see ``GpioOptions``.

    Attributes:
        mode: what a pulse does.
        delay_ns: from a part's begin to its pulse; None: as soon as its verdict is known.
        width_ns: of a pulse.
        heartbeat_ns: from one edge of the heartbeat to the next; None without heartbeat.
        dead_after_ns: without a beat for so long the safe state is taken.
    """

    mode: Mode
    delay_ns: int | None
    width_ns: int
    heartbeat_ns: int | None
    dead_after_ns: int


class Levels(msgspec.Struct, frozen=True):
    """What the pins show.

    Attributes:
        pin: whether the gate's pin is active.
        heartbeat: the heartbeat's level; only its changes mean something.
    """

    pin: bool
    heartbeat: bool


class _Part(msgspec.Struct):
    """A part on its way; decided at ``due_ns``, or without a delay when confirmed before."""

    due_ns: int
    may_accept: bool
    is_confirmed: bool = False


class Schedule:
    """Decides what the pins show; begins in the safe state, held.

    Every method takes the present time, which must not fall from call to call, and first does
    what has become due since the last call.

    Without a delay, parts that wait for their confirmation at the same time are accepted together
    or not at all. Two accepted parts closer than a pulse's width get one longer pulse. Rejecting
    wins: a pulse that accepts ends at the time of a part that is not accepted, and one that
    rejects is not cut by a part that is. More than :data:`MOST_PARTS` parts on their way bring the
    safe state until the oldest has passed.

    Args:
        plan: what the gate does.

    Attributes:
        late: how many parts were rejected because they, their confirmation or this process
            came too late.
    """

    def __init__(self, plan: Plan) -> None:
        self.late = 0
        self._plan = plan
        self._is_held = True
        self._held_until_ns = 0
        self._beat_ns: int | None = None
        self._is_safe = True
        self._parts: dict[str, _Part] = {}
        self._next_due_ns: int | None = None
        self._missed: dict[str, None] = {}
        self._pulse_end_ns: int | None = None
        self._heartbeat = False
        self._next_edge_ns = 0

    def beat(self, sent_ns: int, now_ns: int) -> None:
        """Hear that the line was alive at ``sent_ns``."""
        self.advance(now_ns)
        self._beat_ns = sent_ns
        self.advance(now_ns)

    def hold(self, until_ns: int, now_ns: int, *, is_held: bool) -> None:
        """Take the safe state while it is held, and until a time."""
        self._is_held = is_held
        self._held_until_ns = max(self._held_until_ns, until_ns)
        self.advance(now_ns)

    def expect(self, uuid: str, begun_ns: int, now_ns: int, *, is_accepted: bool) -> None:
        """Note a part; one that comes in the safe state is rejected whatever follows."""
        self.advance(now_ns)
        part = _Part(self._due_ns(begun_ns, now_ns, is_accepted), is_accepted and not self._is_safe)
        if self._plan.delay_ns is None:
            # It stands at the gate now, and must not use a pulse of those before.
            self._end_accepting()
            if not is_accepted and self._plan.mode is Mode.ACCEPT:
                self._reject_all(now_ns)
        elif part.due_ns < now_ns:
            self.late += 1
        if len(self._parts) >= MOST_PARTS:
            self._forget_oldest()
        self._parts[uuid] = part
        self._find_next_due()
        self.advance(now_ns)

    def confirm(self, uuid: str, now_ns: int) -> None:
        """Hear that a part's acceptance is on record; of a part that is not known: nothing."""
        self.advance(now_ns)
        part = self._parts.get(uuid)
        if part is None:
            if uuid in self._missed:
                del self._missed[uuid]
                self.late += 1
        elif part.may_accept:
            part.is_confirmed = True
            if self._plan.delay_ns is None:
                self._pass_standing(uuid, now_ns)

    def advance(self, now_ns: int) -> Levels:
        """Do what has become due, and return what the pins must show now."""
        is_safe = self._must_be_safe(now_ns)
        if is_safe and not self._is_safe:
            self._reject_all(now_ns)
        elif self._is_safe and not is_safe:
            self._next_edge_ns = now_ns
        self._is_safe = is_safe
        if self._pulse_end_ns is not None and self._pulse_end_ns <= now_ns:
            self._pulse_end_ns = None
        if self._next_due_ns is not None and self._next_due_ns <= now_ns:
            self._settle_due(now_ns)
        if not is_safe:
            self._advance_heartbeat(now_ns)
            return Levels(self._pulse_end_ns is not None, self._heartbeat)
        return Levels(self._plan.mode is Mode.REJECT, self._heartbeat)

    def next_ns(self) -> int | None:
        """Return when :meth:`advance` must be called again if nothing happens; None: never."""
        times = [self._next_due_ns, self._pulse_end_ns]
        if not self._is_safe and self._beat_ns is not None:
            times.append(self._beat_ns + self._plan.dead_after_ns + 1)
            if self._plan.heartbeat_ns is not None:
                times.append(self._next_edge_ns)
        return min((time for time in times if time is not None), default=None)

    def _must_be_safe(self, now_ns: int) -> bool:
        if self._is_held or self._beat_ns is None or now_ns < self._held_until_ns:
            return True
        return now_ns - self._beat_ns > self._plan.dead_after_ns

    def _due_ns(self, begun_ns: int, now_ns: int, is_accepted: bool) -> int:  # noqa: FBT001
        if self._plan.delay_ns is not None:
            return begun_ns + self._plan.delay_ns
        return now_ns + CONFIRM_LIMIT_NS if is_accepted and not self._is_safe else now_ns

    def _reject_all(self, now_ns: int) -> None:
        """Let no part that is on its way be accepted; they are rejected when their time comes."""
        for part in self._parts.values():
            part.may_accept = part.is_confirmed = False
            if self._plan.delay_ns is None:
                part.due_ns = now_ns
        self._find_next_due()
        self._end_accepting()

    def _pass_standing(self, uuid: str, now_ns: int) -> None:
        """Without a delay, let a confirmed part through; one pulse is for all that stand there."""
        if self._plan.mode is Mode.REJECT:
            del self._parts[uuid]
        elif all(part.is_confirmed for part in self._parts.values()):
            self._parts.clear()
            self._accept(now_ns)
        self._find_next_due()

    def _settle_due(self, now_ns: int) -> None:
        due = [(uuid, part) for uuid, part in self._parts.items() if part.due_ns <= now_ns]
        # Of parts that are due at the same time, those that are rejected come last, so they win.
        due.sort(key=lambda one: (one[1].due_ns, not one[1].is_confirmed))
        for uuid, part in due:
            del self._parts[uuid]
            if not part.is_confirmed:
                self._reject(now_ns)
                if part.may_accept:
                    self._note_missed(uuid)
            elif self._plan.delay_ns is None or now_ns - part.due_ns > LATE_LIMIT_NS:
                self._reject(now_ns)
                self.late += 1
            else:
                self._accept(now_ns)
        self._find_next_due()

    def _accept(self, now_ns: int) -> None:
        if self._plan.mode is Mode.ACCEPT:
            self._pulse_end_ns = now_ns + self._plan.width_ns

    def _reject(self, now_ns: int) -> None:
        self._end_accepting()
        if self._plan.mode is Mode.REJECT:
            self._pulse_end_ns = now_ns + self._plan.width_ns

    def _end_accepting(self) -> None:
        if self._plan.mode is Mode.ACCEPT:
            self._pulse_end_ns = None

    def _advance_heartbeat(self, now_ns: int) -> None:
        period_ns = self._plan.heartbeat_ns
        if period_ns is not None and self._next_edge_ns <= now_ns:
            self._heartbeat = not self._heartbeat
            self._next_edge_ns += period_ns
            if self._next_edge_ns <= now_ns:
                self._next_edge_ns = now_ns + period_ns

    def _note_missed(self, uuid: str) -> None:
        if len(self._missed) >= MOST_PARTS:
            del self._missed[next(iter(self._missed))]
        self._missed[uuid] = None

    def _forget_oldest(self) -> None:
        """Make room; the safe state until that part has passed the gate rejects it."""
        oldest = min(self._parts, key=lambda uuid: self._parts[uuid].due_ns)
        passed_ns = self._parts.pop(oldest).due_ns + self._plan.width_ns
        self._held_until_ns = max(self._held_until_ns, passed_ns)

    def _find_next_due(self) -> None:
        self._next_due_ns = min((part.due_ns for part in self._parts.values()), default=None)
