"""Parts and the inspector: from frames to exactly one decision a part."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import Float64Array, decide, vote
from linegate_bundle.manifest import Verdict
from linegate_runtime.frame import Frame
from linegate_runtime.geometry import Box
from linegate_runtime.inspector import Inspector
from linegate_runtime.model import Model, Seen
from linegate_runtime.part import PartDecision, Parts
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import even_picture
from tests.support import tiny_bundle, tiny_manifest

MANIFEST = tiny_manifest(vote_frames=3)


def odds(defect: float) -> Float64Array:
    return np.array([1 - defect, defect])


def seen(defect: float) -> Seen:
    return Seen(odds(defect), None)


def test_a_part_is_decided_with_the_frame_that_completes_its_votes() -> None:
    parts = Parts(MANIFEST)
    assert parts.add(1, seen(0.9), 10, 100) is None
    assert parts.add(1, seen(0.6), 11, 200) is None
    decided = parts.add(1, seen(0.8), 12, 300)
    assert decided is not None
    expected = decide(vote([odds(0.9), odds(0.6), odds(0.8)]), MANIFEST.labels, MANIFEST.policy)
    assert decided == PartDecision(
        part=1, decision=expected, frames_voted=3, frame_number=12, captured_ns=300
    )
    assert not parts.wants(1)
    assert parts.add(1, seen(0.1), 13, 400) is None
    assert parts.end(1) is None


def test_a_part_that_ends_early_is_decided_with_what_it_has() -> None:
    parts = Parts(MANIFEST)
    parts.add(1, seen(0.05), 10, 100)
    decided = parts.end(1)
    assert decided is not None
    assert (decided.frames_voted, decided.frame_number, decided.captured_ns) == (1, 10, 100)
    assert decided.decision.verdict is Verdict.ACCEPT


def test_a_part_that_was_never_seen_has_no_decision() -> None:
    assert Parts(MANIFEST).end(7) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0.001, 0.999)), max_size=40))
def test_every_part_that_was_seen_gets_exactly_one_decision(
    frames: list[tuple[int, float]],
) -> None:
    parts = Parts(MANIFEST)
    decided = [
        decision.part
        for number, (part, defect) in enumerate(frames, start=1)
        if (decision := parts.add(part, seen(defect), number, number))
    ]
    decided += [decision.part for decision in parts.end_all()]
    assert sorted(decided) == sorted({part for part, _ in frames})
    assert parts.end_all() == []


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    path = tiny_bundle(tmp_path / "tiny.linegate", vote_frames=2)
    with Bundle.open(path, "0.1.0") as bundle, Model.open(bundle, "fake") as opened:
        yield opened


def frame(number: int, value: int) -> Frame:
    return Frame(number=number, monotonic_ns=number * 1000, pixels=even_picture(value))


def test_the_inspector_judges_each_part_by_its_own_frames(model: Model) -> None:
    trigger = FakeTrigger(FakeOptions(script=(1, 1, 1, 0, 2, 0)))
    inspector = Inspector(model, trigger)
    inspections = [
        inspector.inspect(frame(number, value))
        for number, value in enumerate([0, 0, 255, 0, 255, 0], start=1)
    ]
    decisions = [decision for each in inspections for decision in each.decisions]
    assert [(d.part, d.frames_voted, d.frame_number) for d in decisions] == [(1, 2, 2), (2, 1, 5)]
    assert [d.decision.verdict for d in decisions] == [Verdict.ACCEPT, Verdict.REJECT]
    assert inspector.finish().decisions == ()


def test_only_the_box_is_shown_to_the_model(model: Model) -> None:
    picture = even_picture(0)
    picture[10:20, 30:50] = 255
    trigger = FakeTrigger(FakeOptions(script=(1, 0)), Box(30, 10, 20, 10))
    inspector = Inspector(model, trigger)
    inspector.inspect(Frame(number=1, monotonic_ns=1, pixels=picture))
    (decided,) = inspector.inspect(frame(2, 0)).decisions
    assert decided.decision.verdict is Verdict.REJECT


def test_finishing_decides_the_part_in_view(model: Model) -> None:
    inspector = Inspector(model, FakeTrigger(FakeOptions(script=(1, 1))))
    assert inspector.inspect(frame(1, 255)).decisions == ()
    (decided,) = inspector.finish().decisions
    assert (decided.part, decided.frames_voted) == (1, 1)
