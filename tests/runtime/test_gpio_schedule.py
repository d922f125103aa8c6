"""The logic of the gpio gate, told of all orders of events: nothing unconfirmed is accepted."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.sinks.gpio_schedule import (
    CONFIRM_LIMIT_NS,
    LATE_LIMIT_NS,
    MOST_PARTS,
    Mode,
    Plan,
    Schedule,
)

MS = 1_000_000
DELAY_MS, WIDTH_MS, DEAD_MS = 100, 30, 40

Event = tuple[Literal["live", "wait", "beat", "hold", "pass", "expect", "reject", "confirm"], int]

PARTS = st.integers(0, 9)
events = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.integers(1, 12)),
        st.tuples(st.just("wait"), st.integers(1, 60)),
        st.tuples(st.just("beat"), st.integers(0, 50)),
        st.tuples(st.just("hold"), st.integers(0, 1)),
        st.tuples(st.just("pass"), PARTS),
        st.tuples(st.just("expect"), PARTS),
        st.tuples(st.just("reject"), PARTS),
        st.tuples(st.just("confirm"), PARTS),
    ),
    max_size=60,
)


def beaten(happened: list[Event]) -> list[Event]:
    """Begin with a line that lives; a beat each 10 ms is ``live``, expect and confirm ``pass``."""
    plain: list[Event] = [("hold", 0), ("beat", 0)]
    for kind, number in happened:
        if kind == "live":
            plain += [("wait", 10), ("beat", 0)] * number
        elif kind == "pass":
            plain += [("expect", number), ("confirm", number)]
        else:
            plain.append((kind, number))
    return plain


def plan(mode: Mode = Mode.ACCEPT, *, delay_ms: int | None = DELAY_MS) -> Plan:
    return Plan(
        mode=mode,
        delay_ns=None if delay_ms is None else delay_ms * MS,
        width_ns=WIDTH_MS * MS,
        heartbeat_ns=10 * MS,
        dead_after_ns=DEAD_MS * MS,
    )


def awake(gate_plan: Plan) -> Schedule:
    """A schedule that has left its safe state at 0, and is beaten for 10 s."""
    schedule = Schedule(gate_plan)
    schedule.hold(0, 0, is_held=False)
    schedule.beat(10_000 * MS, 0)
    return schedule


def active_ms(schedule: Schedule, until_ms: int, *, from_ms: int = 0) -> list[int]:
    """The milliseconds in which the pin is active."""
    return [ms for ms in range(from_ms, until_ms) if schedule.advance(ms * MS).pin]


class Belt:
    """Runs events in steps of a millisecond, and notes what each part finds at the gate.

    Attributes:
        judged: of each part: its UUID, and whether it was let through at its time.
        allowed: parts that may have been: expected and confirmed before their time, and not in
            the safe state at any moment from then on.
    """

    def __init__(self, gate_plan: Plan) -> None:
        self.schedule = Schedule(gate_plan)
        self.mode = gate_plan.mode
        self.now_ms = 0
        self.judged: dict[str, bool] = {}
        self.allowed: set[str] = set()
        self._due: dict[str, int] = {}
        self._may: set[str] = set()
        self._is_held = True
        self._beat_ms: int | None = None

    @property
    def must_be_safe(self) -> bool:
        if self._is_held or self._beat_ms is None:
            return True
        return self.now_ms - self._beat_ms > DEAD_MS

    def do(self, event: Event) -> None:
        kind, number = event
        now_ns = self.now_ms * MS
        if kind == "wait":
            for _ in range(number):
                self.now_ms += 1
                self._look()
        elif kind == "beat":
            self._beat_ms = self.now_ms - number
            self.schedule.beat(self._beat_ms * MS, now_ns)
        elif kind == "hold":
            self._is_held = bool(number)
            self.schedule.hold(0, now_ns, is_held=self._is_held)
        elif kind == "confirm":
            self.schedule.confirm(str(number), now_ns)
            if str(number) in self._may:
                self.allowed.add(str(number))
        elif str(number) not in self._due:
            self._due[str(number)] = self.now_ms + DELAY_MS
            self.schedule.expect(str(number), now_ns, now_ns, is_accepted=kind == "expect")
            if kind == "expect" and not self.must_be_safe:
                self._may.add(str(number))
        self._forget_if_safe()

    def _look(self) -> None:
        levels = self.schedule.advance(self.now_ms * MS)
        self._forget_if_safe()
        lets_through = levels.pin == (self.mode is Mode.ACCEPT)
        if self.must_be_safe:
            assert not lets_through
        for uuid, due_ms in self._due.items():
            if due_ms == self.now_ms:
                self.judged[uuid] = lets_through
                self._may.discard(uuid)

    def _forget_if_safe(self) -> None:
        if self.must_be_safe:
            self._may.clear()
            self.allowed -= self._due.keys() - self.judged.keys()


@pytest.mark.parametrize("mode", list(Mode))
@given(events)
def test_no_part_is_let_through_that_was_not_confirmed_before_its_time(
    mode: Mode, happened: list[Event]
) -> None:
    belt = Belt(plan(mode))
    for event in beaten([*happened, ("live", 11)]):
        belt.do(event)
    assert {uuid for uuid, passed in belt.judged.items() if passed} <= belt.allowed


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.booleans()), max_size=20))
def test_each_confirmed_part_is_let_through_and_no_other_while_all_is_well(
    parts: list[tuple[int, bool, bool]],
) -> None:
    schedule = awake(plan())
    now_ms = 0
    due: dict[int, bool] = {}
    levels: dict[int, bool] = {}
    for number, (gap_ms, is_accepted, is_confirmed) in enumerate([*parts, (200, False, False)]):
        for _ in range(gap_ms):
            now_ms += 1
            levels[now_ms] = schedule.advance(now_ms * MS).pin
        schedule.expect(str(number), now_ms * MS, now_ms * MS, is_accepted=is_accepted)
        due[now_ms + DELAY_MS] = is_accepted and is_confirmed
        if is_confirmed:
            schedule.confirm(str(number), now_ms * MS)
    assert all(levels[ms] == passes for ms, passes in due.items() if ms in levels)


@pytest.mark.parametrize("mode", list(Mode))
@given(events)
def test_without_a_delay_the_part_at_the_gate_is_let_through_only_once_it_is_confirmed(
    mode: Mode, happened: list[Event]
) -> None:
    schedule = Schedule(plan(mode, delay_ms=None))
    now_ns = 0
    at_gate, is_confirmed = -1, False
    for kind, number in beaten(happened):
        if kind == "wait":
            now_ns += number * MS
        elif kind == "beat":
            schedule.beat(now_ns - number * MS, now_ns)
        elif kind == "hold":
            schedule.hold(0, now_ns, is_held=bool(number))
        elif kind == "confirm":
            schedule.confirm(str(number), now_ns)
            is_confirmed |= number == at_gate
        else:
            schedule.expect(str(number), now_ns, now_ns, is_accepted=kind == "expect")
            at_gate, is_confirmed = number, False
        pin = schedule.advance(now_ns).pin
        if mode is Mode.ACCEPT:
            assert is_confirmed or not pin
        elif kind == "reject":
            assert pin


@given(events)
def test_it_asks_to_be_called_before_anything_changes(happened: list[Event]) -> None:
    schedule = awake(plan())
    now_ns = 0
    for kind, number in beaten(happened):
        if kind == "wait":
            next_ns = schedule.next_ns()
            target_ns = now_ns + number * MS
            if next_ns is not None and target_ns >= next_ns > now_ns:
                before = schedule.advance(now_ns)
                assert schedule.advance(next_ns - 1) == before
                target_ns = next_ns
            now_ns = target_ns
            schedule.advance(now_ns)
        elif kind in ("expect", "reject"):
            schedule.expect(str(number), now_ns, now_ns, is_accepted=kind == "expect")
        elif kind == "confirm":
            schedule.confirm(str(number), now_ns)


def test_two_accepted_parts_that_are_close_get_one_longer_pulse() -> None:
    schedule = awake(plan())
    for uuid, begun_ms in (("a", 0), ("b", 20)):
        schedule.expect(uuid, begun_ms * MS, 20 * MS, is_accepted=True)
        schedule.confirm(uuid, 20 * MS)
    assert active_ms(schedule, 300, from_ms=21) == list(range(100, 150))


@pytest.mark.parametrize(
    ("mode", "expected"), [(Mode.ACCEPT, range(100, 110)), (Mode.REJECT, range(110, 140))]
)
def test_rejecting_wins_where_pulses_meet(mode: Mode, expected: range) -> None:
    schedule = awake(plan(mode))
    for uuid, begun_ms, is_good in (("a", 0, True), ("b", 10, False)):
        schedule.expect(uuid, begun_ms * MS, 10 * MS, is_accepted=is_good)
        schedule.confirm(uuid, 10 * MS)
    assert active_ms(schedule, 300, from_ms=11) == list(expected)


def test_a_pulse_that_rejects_is_not_cut_by_an_accepted_part() -> None:
    schedule = awake(plan(Mode.REJECT))
    for uuid, begun_ms, is_good in (("a", 0, False), ("b", 10, True)):
        schedule.expect(uuid, begun_ms * MS, 10 * MS, is_accepted=is_good)
        schedule.confirm(uuid, 10 * MS)
    assert active_ms(schedule, 300, from_ms=11) == list(range(100, 130))


def test_parts_of_before_are_rejected_after_the_safe_state_too() -> None:
    schedule = awake(plan(Mode.REJECT))
    schedule.expect("part", 0, 0, is_accepted=True)
    schedule.confirm("part", 0)
    schedule.hold(0, 10 * MS, is_held=True)
    schedule.hold(0, 20 * MS, is_held=False)
    assert active_ms(schedule, 300, from_ms=20) == list(range(100, 130))


def test_a_part_that_comes_without_delay_ends_the_pulse_of_the_one_before() -> None:
    schedule = awake(plan(delay_ms=None))
    schedule.expect("a", 0, 0, is_accepted=True)
    schedule.confirm("a", 0)
    assert schedule.advance(10 * MS).pin
    schedule.expect("b", 0, 11 * MS, is_accepted=True)
    assert not schedule.advance(11 * MS).pin
    schedule.confirm("b", 12 * MS)
    assert schedule.advance(12 * MS).pin


def test_without_a_delay_parts_that_stand_together_are_accepted_together_or_not_at_all() -> None:
    for last_is_accepted in (True, False):
        schedule = awake(plan(delay_ms=None))
        schedule.expect("a", 0, 0, is_accepted=True)
        schedule.expect("b", 0, 0, is_accepted=last_is_accepted)
        schedule.confirm("a", MS)
        assert not schedule.advance(MS).pin
        schedule.confirm("b", MS)
        assert schedule.advance(MS).pin == last_is_accepted


def test_without_a_delay_a_part_that_waited_for_another_is_not_accepted_later() -> None:
    schedule = awake(plan(delay_ms=None))
    schedule.expect("a", 0, 0, is_accepted=True)
    schedule.expect("b", 0, 0, is_accepted=True)
    schedule.confirm("a", MS)
    assert not active_ms(schedule, 2 * CONFIRM_LIMIT_NS // MS, from_ms=2)


@pytest.mark.parametrize("delay_ms", [None, 100])
def test_a_late_confirmation_is_counted_once_and_changes_nothing(delay_ms: int | None) -> None:
    schedule = awake(plan(delay_ms=delay_ms))
    schedule.expect("part", 0, 0, is_accepted=True)
    schedule.confirm("unknown", 0)
    late_ns = CONFIRM_LIMIT_NS if delay_ms is None else delay_ms * MS
    for _ in range(2):
        schedule.confirm("part", late_ns)
        assert not schedule.advance(late_ns).pin
        assert schedule.late == 1


def test_a_process_that_wakes_up_too_late_lets_no_part_through() -> None:
    schedule = awake(plan())
    schedule.expect("part", 0, 0, is_accepted=True)
    schedule.confirm("part", 0)
    assert not schedule.advance(DELAY_MS * MS + LATE_LIMIT_NS + 1).pin
    assert schedule.late == 1


def test_a_verdict_that_comes_after_the_part_has_passed_is_counted() -> None:
    schedule = awake(plan())
    schedule.expect("part", 0, 101 * MS, is_accepted=False)
    assert schedule.late == 1


def test_more_parts_than_it_keeps_are_rejected_by_the_safe_state() -> None:
    schedule = awake(plan(Mode.REJECT))
    for number in range(MOST_PARTS + 1):
        schedule.expect(str(number), number * 1000, MS, is_accepted=True)
        schedule.confirm(str(number), MS)
    passed_ms = DELAY_MS + WIDTH_MS
    assert active_ms(schedule, passed_ms, from_ms=2) == list(range(2, passed_ms))
    assert len(schedule._parts) <= MOST_PARTS


def test_what_it_remembers_of_missed_parts_is_bounded() -> None:
    schedule = awake(plan())
    for number in range(2 * MOST_PARTS):
        schedule.expect(str(number), number * MS, number * MS, is_accepted=True)
    assert len(schedule._missed) <= MOST_PARTS


def test_the_heartbeat_has_an_edge_a_period_and_none_in_the_safe_state() -> None:
    schedule = Schedule(plan())
    schedule.hold(0, 0, is_held=False)
    schedule.beat(0, 0)
    seen = [schedule.advance(ms * MS).heartbeat for ms in range(200)]
    edges = [ms for ms in range(1, 200) if seen[ms] != seen[ms - 1]]
    assert edges == [10, 20, 30, 40]


def test_an_old_beat_does_not_end_the_safe_state() -> None:
    schedule = Schedule(plan())
    schedule.hold(0, 0, is_held=False)
    schedule.beat(0, (DEAD_MS + 1) * MS)
    before = schedule.advance((DEAD_MS + 1) * MS)
    assert schedule.advance((DEAD_MS + 11) * MS) == before
