"""A line's policy: stricter than the bundle's as one likes, looser only if one insists."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.decide import decide_part, judge
from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import (
    DecisionPolicy,
    Label,
    Role,
    Verdict,
    VoteMethod,
    VotePolicy,
)
from linegate_runtime.policy import LinePolicy, PolicyOrigin, VerdictOptions, line_policy
from tests.support import tiny_manifest

BUNDLE = DecisionPolicy(
    accept_at_most=0.2,
    reject_at_least=0.6,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=3, needed=None),
)
BY_FRAMES = DecisionPolicy(
    accept_at_most=0.2,
    reject_at_least=0.6,
    vote=VotePolicy(method=VoteMethod.K_OF_N, frames=3, needed=2),
)


def policy_of(
    bundle: DecisionPolicy,
    options: VerdictOptions,
    *,
    shown: int | None = None,
    allow_looser: bool = False,
) -> LinePolicy:
    manifest = msgspec.structs.replace(tiny_manifest(), policy=bundle)
    return line_policy(manifest, options, shown=shown, allow_looser=allow_looser)


def test_without_wishes_it_is_the_bundles() -> None:
    policy = policy_of(BUNDLE, VerdictOptions())
    assert policy.decision == BUNDLE
    assert (policy.origin, policy.default) == (PolicyOrigin.BUNDLE, Verdict.REJECT)


@pytest.mark.parametrize(
    "options",
    [
        VerdictOptions(accept_at_most=0.1),
        VerdictOptions(reject_at_least=0.5),
    ],
)
def test_a_stricter_line_says_so(options: VerdictOptions) -> None:
    assert policy_of(BUNDLE, options).origin is PolicyOrigin.STRICTER


def test_fewer_frames_that_reject_are_stricter() -> None:
    policy = policy_of(BY_FRAMES, VerdictOptions(needed=1, frames=4))
    assert policy.origin is PolicyOrigin.STRICTER
    assert policy.decision.vote.needed == 1


@pytest.mark.parametrize(
    ("bundle", "options", "message"),
    [
        (BUNDLE, VerdictOptions(accept_at_most=0.3), "accept_at_most: expected at most .* 0.2"),
        (BUNDLE, VerdictOptions(reject_at_least=0.7), "reject_at_least: expected at most .* 0.6"),
        (BUNDLE, VerdictOptions(frames=2), "frames: expected the bundle's 3, got 2"),
        (BUNDLE, VerdictOptions(frames=5), "frames: expected the bundle's 3, got 5"),
        (BY_FRAMES, VerdictOptions(frames=2, needed=2), "frames: expected at least the bundle's 3"),
        (BUNDLE, VerdictOptions(needed=1), "cannot be compared"),
        (BUNDLE, VerdictOptions(default=Verdict.ACCEPT), "default: expected reject or unsure"),
        (BY_FRAMES, VerdictOptions(needed=3), "needed: expected at most the bundle's 2, got 3"),
    ],
)
def test_a_looser_line_is_refused_unless_it_is_allowed_and_then_marked(
    bundle: DecisionPolicy, options: VerdictOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        policy_of(bundle, options)
    assert "--allow-looser" in str(caught.value)
    assert policy_of(bundle, options, allow_looser=True).origin is PolicyOrigin.LOOSER


@pytest.mark.parametrize("shown", [None, 3, 4])
def test_a_trigger_that_shows_a_part_often_enough_changes_nothing(shown: int | None) -> None:
    assert policy_of(BUNDLE, VerdictOptions(), shown=shown).origin is PolicyOrigin.BUNDLE


def test_a_trigger_that_shows_a_part_too_seldom_makes_the_line_looser() -> None:
    with pytest.raises(ConfigError, match=r"\[trigger\] frames: expected at least the 3 .* got 2"):
        policy_of(BUNDLE, VerdictOptions(), shown=2)
    policy = policy_of(BUNDLE, VerdictOptions(), shown=2, allow_looser=True)
    assert policy.origin is PolicyOrigin.LOOSER


def test_all_that_is_looser_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        policy_of(BUNDLE, VerdictOptions(accept_at_most=0.5, reject_at_least=0.9, frames=1))
    for name in ("accept_at_most", "reject_at_least", "frames"):
        assert f"{name}: expected" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        VerdictOptions(reject_at_least=0.2),
        VerdictOptions(accept_at_most=0.6),
        VerdictOptions(needed=4),
    ],
)
def test_wishes_that_contradict_each_other_are_refused_however_allowed(
    options: VerdictOptions,
) -> None:
    with pytest.raises(ConfigError, match=r"must be below|are needed"):
        policy_of(BUNDLE, options, allow_looser=True)


shares = st.none() | st.floats(0, 1)


@given(shares, shares, st.floats(0, 1))
def test_what_is_not_marked_looser_accepts_nothing_that_the_bundle_does_not(
    accept: float | None, reject: float | None, defect_probability: float
) -> None:
    options = VerdictOptions(accept_at_most=accept, reject_at_least=reject)
    try:
        policy = policy_of(BUNDLE, options)
    except ConfigError:
        return
    verdict = judge(defect_probability, policy.decision)
    own = judge(defect_probability, BUNDLE)
    assert verdict is not Verdict.ACCEPT or own is Verdict.ACCEPT
    assert own is not Verdict.REJECT or verdict is Verdict.REJECT


frames = st.lists(st.floats(0, 1), min_size=9, max_size=9)


@given(
    st.integers(1, 9), st.none() | st.integers(1, 9), st.sampled_from([BUNDLE, BY_FRAMES]), frames
)
def test_a_line_that_is_not_looser_accepts_no_part_by_its_frames_that_the_bundle_does_not(
    count: int, needed: int | None, bundle: DecisionPolicy, defect: list[float]
) -> None:
    try:
        policy = policy_of(bundle, VerdictOptions(frames=count, needed=needed)).decision
    except ConfigError:
        return
    seen = [(1 - value, value) for value in defect]
    own = decide_part(seen[: bundle.vote.frames], LABELS, bundle).verdict
    line = decide_part(seen[: policy.vote.frames], LABELS, policy).verdict
    assert line is not Verdict.ACCEPT or own is Verdict.ACCEPT
    assert own is not Verdict.REJECT or line is Verdict.REJECT


LABELS = (Label(name="good", role=Role.GOOD), Label(name="bad", role=Role.DEFECT))
