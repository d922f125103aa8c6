"""Parts and the inspector: from frames to exactly one decision a part."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import decide_part
from linegate_bundle.manifest import Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.inspector import Inspection, Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model, Seen
from linegate_runtime.part import Look, PartDecision, Parts
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.reason import Reason
from linegate_runtime.triggers import Begun, Observation, Trigger, TriggerOptions
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import even_picture
from tests.support import tiny_bundle, tiny_manifest

MANIFEST = tiny_manifest(vote_frames=3)
SECOND = 1_000_000_000
POLICY = line_policy(MANIFEST, VerdictOptions(deadline_s=1.0))


def odds(defect: float) -> tuple[float, float]:
    return (1 - defect, defect)


def seen(defect: float) -> Seen:
    return Seen(odds(defect))


def look(frame_number: int, captured_ns: int) -> Look:
    return Look(frame_number, captured_ns)


def new_parts() -> Parts:
    return Parts(POLICY)


def test_a_part_is_decided_with_the_frame_that_completes_its_votes() -> None:
    parts = new_parts()
    assert parts.add(1, seen(0.9), look(10, 100), 101) is None
    assert parts.add(1, seen(0.6), look(11, 200), 201) is None
    decided = parts.add(1, seen(0.8), look(12, 300), 301)
    expected = decide_part([odds(0.9), odds(0.6), odds(0.8)], MANIFEST.labels, MANIFEST.policy)
    assert decided == PartDecision(
        part=1,
        policy=POLICY,
        verdict=expected.verdict,
        reason=Reason.VOTE,
        begun_ns=100,
        decision=expected,
        frames_voted=3,
        frame_number=12,
        captured_ns=300,
    )
    assert parts.policy_of(1) is None
    assert parts.add(1, seen(0.1), look(13, 400), 401) is None
    assert parts.end(1, 500) is None


def test_a_part_that_ends_early_is_decided_with_what_it_has() -> None:
    parts = new_parts()
    parts.add(1, seen(0.05), look(10, 100), 101)
    decided = parts.end(1, 200)
    assert decided is not None
    assert (decided.frames_voted, decided.frame_number, decided.captured_ns) == (1, 10, 100)
    assert (decided.verdict, decided.reason) == (Verdict.ACCEPT, Reason.FEW)


def test_a_part_that_was_never_seen_has_no_decision() -> None:
    assert new_parts().end(7, 0) is None


def test_a_part_known_without_a_frame_is_rejected_when_it_ends_unseen() -> None:
    parts = new_parts()
    parts.begin(1, 0)
    decided = parts.end(1, 10)
    assert decided is not None
    assert (decided.verdict, decided.reason) == (Verdict.REJECT, Reason.UNSEEN)
    assert (decided.decision, decided.frame_number, decided.captured_ns) == (None, None, None)


def test_a_part_whose_deadline_passes_is_rejected_once_whatever_its_frames_say() -> None:
    parts = new_parts()
    parts.add(1, seen(0.01), look(1, 0), 10)
    parts.begin(2, SECOND // 2)
    assert parts.deadline_ns == SECOND
    assert parts.late(SECOND) == []
    (late,) = parts.late(SECOND + 1)
    assert (late.part, late.verdict, late.reason) == (1, Verdict.REJECT, Reason.LATE)
    assert late.decision is not None
    assert late.decision.verdict is Verdict.ACCEPT
    assert parts.late(SECOND + 2) == []
    assert parts.policy_of(1) is None
    assert parts.end(1, SECOND + 3) is None
    assert parts.deadline_ns == SECOND + SECOND // 2


def test_a_verdict_that_comes_after_the_deadline_is_late_even_if_it_is_complete() -> None:
    parts = new_parts()
    parts.add(1, seen(0.01), look(1, 0), 10)
    parts.add(1, seen(0.01), look(2, 20), 30)
    decided = parts.add(1, seen(0.01), look(3, 40), SECOND + 1)
    assert decided is not None
    assert (decided.verdict, decided.reason) == (Verdict.REJECT, Reason.LATE)


def test_the_default_verdict_is_the_configured_one() -> None:
    policy = line_policy(MANIFEST, VerdictOptions(deadline_s=1.0, default=Verdict.UNSURE))
    parts = Parts(policy)
    parts.begin(1, 0)
    (late,) = parts.late(2 * SECOND)
    assert late.verdict is Verdict.UNSURE


def test_parts_that_never_end_take_bounded_memory_and_are_never_decided_again() -> None:
    parts = new_parts()
    decided = 0
    for part in range(1, 5001):
        parts.begin(part, part)
        decided += len(parts.late(part + 2 * SECOND))
    assert decided == 5000
    assert len(parts._decided) <= 1001
    assert parts.policy_of(1) is None
    assert parts.add(1, seen(0.1), look(1, 9 * SECOND), 9 * SECOND) is None
    assert parts.end(1, 9 * SECOND) is None
    parts.begin(1, 9 * SECOND)
    assert parts.deadline_ns is None
    parts.begin(5001, 9 * SECOND)
    assert parts.policy_of(5001) is POLICY


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "frame", "end", "late"]),
            st.integers(1, 4),
            st.floats(0.001, 0.999),
            st.integers(0, SECOND),
        ),
        max_size=60,
    )
)
def test_every_part_gets_exactly_one_decision_whatever_happens(
    steps: list[tuple[str, int, float, int]],
) -> None:
    parts = new_parts()
    now = number = 0
    known: set[int] = set()
    ended: set[int] = set()
    decided: list[PartDecision | None] = []
    for step, part, defect, wait_ns in steps:
        now += wait_ns
        if step == "late":
            decided += parts.late(now)
        elif part in ended:
            continue
        elif step == "begin":
            parts.begin(part, now)
            known.add(part)
        elif step == "frame":
            number += 1
            decided.append(parts.add(part, seen(defect), look(number, now), now))
            known.add(part)
        else:
            decided.append(parts.end(part, now))
            ended.add(part)
    decided += parts.end_all(now)
    numbers = [one.part for one in decided if one is not None]
    assert sorted(numbers) == sorted(known)
    for one in decided:
        if one is not None and one.reason in (Reason.LATE, Reason.UNSEEN):
            assert one.verdict is Verdict.REJECT
    assert parts.end_all(now) == []
    assert parts.deadline_ns is None


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    path = tiny_bundle(tmp_path / "tiny.linegate", vote_frames=2)
    with Bundle.open(path, "0.1.0") as bundle, Model.open(bundle, "fake") as opened:
        yield opened


def frame(number: int, value: int) -> Frame:
    return Frame(
        number=number,
        monotonic_ns=number * 1000,
        taken_ns=number * 1000,
        pixels=even_picture(value),
    )


def judge_of(model: Model, name: str = "a bundle") -> Judge:
    policy = line_policy(model.manifest, VerdictOptions(deadline_s=1.0))
    return Judge(model, policy, Stamp("a run", policy.origin, (), name, "1.0.0", "0"))


def watching(model: Model, *regions: Region, now_ns: int = 0) -> Inspector:
    return Inspector(judge_of(model), regions, clock=lambda: now_ns)


def decisions(*inspections: Inspection) -> list[PartDecision]:
    return [judgement.decided for each in inspections for judgement in each.judgements]


def test_the_inspector_judges_each_part_by_its_own_frames(model: Model) -> None:
    trigger = FakeTrigger(FakeOptions(script=(1, 1, 1, 0, 2, 0)))
    inspector = watching(model, Region("", trigger))
    given = decisions(
        *(
            inspector.inspect(frame(number, value))
            for number, value in enumerate([0, 0, 255, 0, 255, 0], start=1)
        )
    )
    assert [(d.part, d.frames_voted, d.frame_number) for d in given] == [(1, 2, 2), (2, 1, 5)]
    assert [d.verdict for d in given] == [Verdict.ACCEPT, Verdict.REJECT]
    assert inspector.finish().judgements == ()


def test_only_the_box_is_shown_to_the_model(model: Model) -> None:
    picture = even_picture(0)
    picture[10:20, 30:50] = 255
    trigger = FakeTrigger(FakeOptions(script=(1, 0)), Box(30, 10, 20, 10))
    inspector = watching(model, Region("", trigger))
    inspector.inspect(Frame(number=1, monotonic_ns=1, taken_ns=1, pixels=picture))
    (decided,) = decisions(inspector.inspect(frame(2, 0)))
    assert decided.verdict is Verdict.REJECT


def test_finishing_decides_the_part_in_view(model: Model) -> None:
    inspector = watching(model, Region("", FakeTrigger(FakeOptions(script=(1, 1)))))
    assert inspector.inspect(frame(1, 255)).judgements == ()
    (decided,) = decisions(inspector.finish())
    assert (decided.part, decided.frames_voted) == (1, 1)


def test_each_region_has_parts_of_its_own(model: Model) -> None:
    picture = even_picture(0)
    picture[:, 32:] = 255
    left = FakeTrigger(FakeOptions(script=(1, 1, 0)), Box(0, 0, 32, 48))
    right = FakeTrigger(FakeOptions(script=(1, 1, 0)), Box(32, 0, 32, 48))
    inspector = watching(model, Region("left", left), Region("right", right))
    frames = [Frame(number=n, monotonic_ns=n, taken_ns=n, pixels=picture) for n in (1, 2)]
    inspections = [inspector.inspect(one) for one in frames]
    assert [
        (judgement.region, judgement.decided.part, judgement.decided.verdict)
        for one in inspections
        for judgement in one.judgements
    ] == [("left", 1, Verdict.ACCEPT), ("right", 1, Verdict.REJECT)]


class BeginsWithoutFrames(Trigger[TriggerOptions]):
    """Knows of a part at the first question, as a pin does."""

    Options: ClassVar[type[TriggerOptions]] = TriggerOptions

    def __init__(self, options: TriggerOptions, region: Box | None = None) -> None:
        del options, region
        self._new = [Begun(1, 5)]

    def begun(self, now_ns: int) -> tuple[Begun, ...]:
        del now_ns
        new, self._new = tuple(self._new), []
        return new

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        del pixels, taken_ns
        return Observation()


def test_a_part_that_no_frame_shows_is_rejected_at_its_deadline(model: Model) -> None:
    trigger = BeginsWithoutFrames(TriggerOptions())
    times = iter([10, SECOND + 6])
    inspector = Inspector(judge_of(model), [Region("", trigger)], clock=lambda: next(times))
    assert inspector.check_time().judgements == ()
    assert inspector.deadline_ns == SECOND + 5
    (decided,) = decisions(inspector.check_time())
    assert (decided.part, decided.verdict, decided.reason) == (1, Verdict.REJECT, Reason.LATE)
    assert inspector.deadline_ns is None


def test_a_part_is_decided_by_the_judge_it_began_with_though_another_has_come(
    model: Model, tmp_path: Path
) -> None:
    path = tiny_bundle(tmp_path / "other.linegate", vote_frames=1)
    with Bundle.open(path, "0.1.0") as bundle, Model.open(bundle, "fake") as other:
        before, after = judge_of(model, "before"), judge_of(other, "after")
        left = FakeTrigger(FakeOptions(script=(1, 1, 1, 2, 2)), Box(0, 0, 32, 48))
        right = FakeTrigger(FakeOptions(script=(0, 1, 1, 1, 1)), Box(32, 0, 32, 48))
        inspector = Inspector(
            before, [Region("left", left), Region("right", right)], clock=lambda: 0
        )
        inspector.inspect(frame(1, 255))
        inspector.use(after)
        assert not inspector.let_go(before)
        given = [
            (one.region, one.decided.part, one.decided.frames_voted, one.stamp.bundle_name)
            for number in (2, 3, 4)
            for one in inspector.inspect(frame(number, 255)).judgements
        ]
        assert given == [
            ("left", 1, 2, "before"),
            ("right", 1, 1, "after"),
            ("left", 2, 1, "after"),
        ]
        assert inspector.let_go(before)
        model.close()
        assert inspector.inspect(frame(5, 255)).judgements == ()
        assert inspector.finish().judgements == ()
