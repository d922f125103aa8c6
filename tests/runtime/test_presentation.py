"""What controllers are shown, whatever comes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.manifest import Verdict
from linegate_runtime.sinks.modbus_registers import registers_of
from linegate_runtime.sinks.presentation import Presentation
from tests.runtime.controller_support import NOT_READY, READY
from tests.runtime.modbus_support import (
    ACCEPT,
    ACCEPTED,
    PART,
    REASON,
    STATE,
    VERDICT,
    WITHHELD,
)
from tests.runtime.sink_support import recorded

WHAT = st.sampled_from(["part", "ready", "ready", "ready", "not ready", "wait"])
LATER_NS = st.sampled_from([0, 100_000_000, 200_000_000, 260_000_000])
STEPS = st.lists(st.tuples(WHAT, LATER_NS), max_size=20)


@given(STEPS)
def test_accept_shows_only_while_ready_since_the_verdict_came_and_while_it_is_new(
    steps: list[tuple[str, int]],
) -> None:
    presentation = Presentation(0.5, "a")
    now, number, judged, was_always_ready = 10**9, 0, 0, False
    told: int | None = None
    for what, later in steps:
        now += later
        was_ready = told is not None and now - told <= 250_000_000
        was_always_ready = was_always_ready and was_ready
        if what == "part":
            number, judged, was_always_ready = number + 1, now, was_ready
            part = recorded(number, boot_id="a", monotonic_ns=now, verdict=Verdict.ACCEPT)
            presentation.present([part], now)
        elif what != "wait":
            told = now if what == "ready" else None
            presentation.show(READY if what == "ready" else NOT_READY, now)
            was_always_ready = was_always_ready and told is not None
        registers = registers_of(presentation.snapshot(now))
        is_ready = told is not None and now - told <= 250_000_000
        assert registers[STATE] == is_ready
        if registers[VERDICT] == ACCEPT:
            assert is_ready
            assert was_always_ready
            assert now - judged <= 500_000_000
        elif number and is_ready and was_always_ready:
            assert now - judged > 500_000_000
            assert registers[REASON] == WITHHELD
        assert registers[ACCEPTED] == registers[PART] == number
