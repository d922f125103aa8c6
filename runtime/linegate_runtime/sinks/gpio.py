"""A gate that moves parts by a pulse on a pin, and is safe whatever happens to the software."""

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.sinks.base import Gate, SinkOptions
from linegate_runtime.sinks.gpio_guard_process import GuardProcess
from linegate_runtime.sinks.gpio_protocol import Beat, Confirm, Expect, Hold, Setup, encode
from linegate_runtime.sinks.gpio_schedule import CONFIRM_LIMIT_NS, Mode, Plan

_LOG = logging.getLogger(__name__)

_LONGEST_BEAT_NS = 10_000_000
_LONGEST_LOOK_NS = 50_000_000
"""Beats and their answers need not come more often; both do where ``dead_after_s`` is short."""

_SHORTEST_SILENCE_NS = 100_000_000
"""A guard is not ended for less silence: a machine may be busy for a moment, and the heartbeat
of a guard that stands still has ended anyway."""

_PAUSES_S = (0.0, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Before a guard is started again, by how many before it have ended soon."""

_STEADY_S = 10.0
"""A guard that has lived for so long has not ended soon."""

_WARN_PERIOD_S = 5.0


class GpioOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the gpio gate.

    A resistor must hold the pin at its inactive level while nothing drives it, and a relay or the
    plant's controller must stop or reject when the heartbeat ends. Mode "accept" works without
    one, but then a pulse goes on when its guard is lost, until the next one has started.

    Attributes:
        pin: as gpiozero names it: 17 or "GPIO17" by the chip's numbers, "BOARD11" by the
            place on the header.
        mode: "accept": a pulse lets an accepted part through, and without one it is rejected.
            "reject": a pulse throws out a part that is not accepted.
        active_high: whether the pin is high while it is active.
        delay_s: from the part's begin to its pulse, so the way to the gate; a part whose
            acceptance is not on record by then is rejected. None: for lines that stop for the
            verdict; it is accepted as soon as that is on record, and rejected if that takes
            more than half a second.
        width_s: of a pulse. Two accepted parts that are closer get one longer pulse, as do two
            rejected ones; where both kinds are closer, rejecting wins.
        heartbeat_pin: changes its level all the time while all is well; see above.
        heartbeat_s: from one change to the next.
        dead_after_s: the safe state is taken when the line has not been heard of for so long.
    """

    pin: int | str
    mode: Mode = Mode.ACCEPT
    active_high: bool = True
    delay_s: Annotated[float, msgspec.Meta(ge=0.0, le=600.0)] | None = None
    width_s: Annotated[float, msgspec.Meta(ge=0.001, le=60.0)] = 0.1
    heartbeat_pin: int | str | None = None
    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.005, le=2.5)] = 0.05
    dead_after_s: Annotated[float, msgspec.Meta(ge=0.02, le=5.0)] = 0.2

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        found = {}
        if self.heartbeat_pin is None:
            if self.mode is Mode.REJECT:
                found["heartbeat_pin"] = (
                    'expected a pin in mode "reject", got none: nothing would be rejected when '
                    'the software or its power is gone; wire the heartbeat, or use mode "accept"'
                )
            return found
        if str(self.heartbeat_pin) == str(self.pin):
            found["heartbeat_pin"] = f"expected another pin than the gate's, got {self.pin} twice"
        if self.heartbeat_s >= self.dead_after_s / 2:
            found["heartbeat_s"] = (
                f"expected less than half of dead_after_s ({self.dead_after_s:g}), so that the "
                f"heartbeat's end is noticed as soon, got {self.heartbeat_s:g}"
            )
        return found


class GpioGate(Gate[GpioOptions]):
    """Pulses a pin for parts; see :class:`GpioOptions`.

    The pins belong to a process of their own, the guard. It takes the safe state by itself when
    this process dies, stands still or stops beating; a guard that does, is replaced.

    Raises:
        ConfigError: gpiozero or the pins are missing, or a pin cannot be had.
        OutputError: the guard cannot be started.
    """

    Options: ClassVar[type[SinkOptions]] = GpioOptions

    def __init__(self, options: GpioOptions) -> None:
        self._setup, self._delay_ns = _setup_of(options), _ns(options.delay_s)
        self._options = options
        self._look_ns = self._setup.answer_ns
        self._beat_gap_ns = min(_LONGEST_BEAT_NS, self._setup.plan.dead_after_ns // 4)
        self._beat_ns = 0
        self._beats = 0
        self._lock = threading.Lock()
        self._guard: GuardProcess | None = None
        self._is_held = False
        self._is_overrun = False
        self._passed_ns = 0
        self._rests_until_ns = 0
        self._problem: str | None = None
        self._late = _LateLog()
        self._warned_at = -math.inf
        self._closed = threading.Event()
        guard = self._start()
        self._thread = threading.Thread(
            target=self._supervise, args=(guard,), name="gpio-gate", daemon=True
        )
        self._thread.start()

    def beat(self) -> None:
        """See :meth:`Gate.beat`."""
        now_ns = time.monotonic_ns()
        gap_ns = now_ns - self._beat_ns
        if gap_ns >= self._beat_gap_ns:
            if self._beat_ns and gap_ns > self._setup.plan.dead_after_ns:
                self._warn_of_silence(gap_ns)
            self._beat_ns = now_ns
            with self._lock:
                if self._guard is not None:
                    self._beats += 1
                    # One that finds no room is missed: the guard stands still then.
                    self._guard.send(encode(Beat(now_ns)))

    def _warn_of_silence(self, gap_ns: int) -> None:
        if time.monotonic() - self._warned_at < _WARN_PERIOD_S:
            return
        self._warned_at = time.monotonic()
        _LOG.warning(
            "the gpio gate accepted nothing for a while: the line was silent for %.0f ms; expected "
            "less than dead_after_s, so let that be longer than the model takes",
            gap_ns / 1e6,
        )

    def expect(self, uuid: str, begun_ns: int, *, is_accepted: bool) -> None:
        """See :meth:`Gate.expect`."""
        content = encode(Expect(uuid, begun_ns, is_accepted))
        if self._delay_ns is None:
            due_ns = time.monotonic_ns() + CONFIRM_LIMIT_NS
        else:
            due_ns = begun_ns + self._delay_ns
        with self._lock:
            self._passed_ns = max(self._passed_ns, due_ns + self._setup.plan.width_ns)
            self._order(content)

    def accept(self, uuid: str) -> None:
        """See :meth:`Gate.accept`."""
        content = encode(Confirm(uuid))
        with self._lock:
            self._order(content)

    def hold(self, reasons: Sequence[str]) -> None:
        """See :meth:`Gate.hold`."""
        with self._lock:
            if bool(reasons) != self._is_held:
                self._is_held = bool(reasons)
                self._order(encode(Hold(self._is_held, 0)))

    @property
    def problem(self) -> str | None:
        """See :attr:`Gate.problem`."""
        if self._problem is None and time.monotonic_ns() < self._rests_until_ns:
            return "the gpio gate accepts nothing until all parts of before have passed it"
        return self._problem

    @property
    def reach_s(self) -> float:
        """See :attr:`Gate.reach_s`."""
        if self._options.mode is Mode.ACCEPT:
            return 0.0
        return (self._options.delay_s or 0.0) + self._options.width_s

    def check(self, deadline_s: float, commit_within_s: float) -> Mapping[str, str]:
        """See :meth:`Gate.check`."""
        delay_s = self._options.delay_s
        if delay_s is None:
            limit_s = CONFIRM_LIMIT_NS / 1e9
            if commit_within_s < limit_s:
                return {}
            return {
                "delay_s": f"expected commit_within_s of [record] below {limit_s:g} without a "
                f"delay, got {commit_within_s:g}: no acceptance would be on record in time"
            }
        needed_s = deadline_s + commit_within_s
        if delay_s >= needed_s:
            return {}
        return {
            "delay_s": f"expected at least the line's deadline_s and commit_within_s, {needed_s:g} "
            f"together, got {delay_s:g}: a part could pass the gate before its verdict is on "
            "record; lower deadline_s in [verdict], or move the gate further along the belt"
        }

    def close(self) -> None:
        """Bring the pins to rest and end the guard; a second call does nothing."""
        self._closed.set()
        with self._lock:
            if self._guard is not None:
                self._guard.end()
                self._guard = None
        self._thread.join()

    def _order(self, content: bytes) -> None:
        """Tell the guard something that it must not miss; one that is not there will be held."""
        if self._guard is not None and not self._guard.send(content):
            self._is_overrun = True

    def _start(self) -> GuardProcess:
        """Return a guard whose pins are open.

        Raises:
            ConfigError: the pins cannot be had.
            OutputError: the guard cannot be started, or this was closed meanwhile.
        """
        try:
            guard = GuardProcess(self._setup)
        except OSError as error:
            raise OutputError(f"cannot start the guard of the pins: {error}") from error
        try:
            notices = guard.wait_open(self._closed.is_set)
        except BaseException:
            guard.kill()
            raise
        for notice in notices:
            _LOG.warning("%s", notice)
        with self._lock:
            # It knows nothing of the parts that were told to another one or to nobody, so it
            # rests until they have passed.
            self._rests_until_ns = self._passed_ns
            guard.send(encode(Hold(self._is_held, self._rests_until_ns)))
            self._is_overrun = False
            self._guard = guard
        return guard

    def _supervise(self, guard: GuardProcess | None) -> None:
        """Replace each guard that is lost by another, until the gate is closed."""
        lost_soon = 0
        try:
            while not self._closed.is_set():
                started = time.monotonic()
                try:
                    if guard is None:
                        guard = self._start()
                        _LOG.info("the guard of the gpio gate's pins works again")
                    self._problem = None
                    self._watch(guard)
                except (ConfigError, OutputError) as error:
                    self._lose(guard, str(error))
                    guard = None
                    is_steady = time.monotonic() - started > _STEADY_S
                    lost_soon = 0 if is_steady else lost_soon + 1
                    self._closed.wait(_PAUSES_S[min(lost_soon, len(_PAUSES_S) - 1)])
        finally:
            # Without supervision there is no gate.
            self._problem = "the gpio gate is closed"
            with self._lock:
                self._guard = None
            if guard is not None:
                guard.close()

    def _lose(self, guard: GuardProcess | None, reason: str) -> None:
        with self._lock:
            self._guard = None
        if not self._closed.is_set():
            self._problem = f"the gpio gate accepts nothing until it is started anew: {reason}"
            _LOG.warning("%s", self._problem)
        if guard is not None:
            guard.kill()

    def _watch(self, guard: GuardProcess) -> None:
        """Return when the gate is closed.

        Raises:
            ConfigError: the guard cannot have its pins.
            OutputError: the guard is lost.
        """
        silence_ns = max(self._setup.plan.dead_after_ns, _SHORTEST_SILENCE_NS)
        # Silence is counted in looks, not in time: after this process stood still, the guard's
        # answers are there all the same.
        most_silent = math.ceil(silence_ns / self._look_ns)
        silent = heard_beats = 0
        self._late.begin()
        while not self._closed.is_set():
            late = guard.hear_late(self._look_ns / 1e6)
            if late is not None:
                silent = 0
                self._late.note(late)
            elif self._beats != heard_beats:
                silent += 1
            heard_beats = self._beats
            if silent >= most_silent:
                raise OutputError("the guard of the pins does not answer")
            if self._is_overrun:
                raise OutputError("the guard of the pins does not keep up")


class _LateLog:
    """Warns of parts that were rejected for being late, now and then."""

    def __init__(self) -> None:
        self._told = 0
        self._told_at = -math.inf

    def begin(self) -> None:
        """Hear that another guard counts."""
        self._told = 0

    def note(self, count: int) -> None:
        """Hear how many there were since the guard was started."""
        now = time.monotonic()
        if count > self._told and now - self._told_at >= _WARN_PERIOD_S:
            _LOG.warning(
                "the gpio gate rejected %d parts whose verdict was not on record in time; give "
                "the record a faster disk, lower deadline_s in [verdict] or move the gate "
                "further along the belt",
                count - self._told,
            )
            self._told, self._told_at = count, now


def _setup_of(options: GpioOptions) -> Setup:
    dead_after_ns = round(options.dead_after_s * 1e9)
    has_heartbeat = options.heartbeat_pin is not None
    return Setup(
        pin=options.pin,
        active_high=options.active_high,
        heartbeat_pin=options.heartbeat_pin,
        plan=Plan(
            mode=options.mode,
            delay_ns=_ns(options.delay_s),
            width_ns=round(options.width_s * 1e9),
            heartbeat_ns=_ns(options.heartbeat_s) if has_heartbeat else None,
            dead_after_ns=dead_after_ns,
        ),
        answer_ns=min(_LONGEST_LOOK_NS, max(dead_after_ns, _SHORTEST_SILENCE_NS) // 4),
    )


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e9)
