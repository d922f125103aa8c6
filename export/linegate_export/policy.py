"""Choosing the accept and reject thresholds on the calibration part.

Of the errors that are seen there, so many are allowed as prove the target with the
user's confidence (:mod:`linegate_export.proof`). Where there are too few pictures to
prove it, the rule is empirical: the target's share of the pictures, which promises nothing.

With ``e`` escapes allowed, the (e+1)-th smallest defect probability among the
defects must not be accepted; likewise for good pictures at the other end. If the
two limits leave a gap, the thresholds divide it into thirds, so that what lies
in the middle of no man's land is unsure. If they cross, each threshold goes as
near to its limit as the neighbouring observation allows, half way to it. Every
threshold on the safe side of a proven one is proven too.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import judge
from linegate_bundle.errors import ConfigError, GateError
from linegate_bundle.manifest import (
    DecisionPolicy,
    Label,
    Role,
    Verdict,
    VoteMethod,
    VotePolicy,
)
from linegate_export.proof import provable_errors

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DEFAULT_MAXIMUM_RATE = 0.05
DEFAULT_CONFIDENCE = 0.95
DEFAULT_VOTE_FRAMES = 5


@dataclasses.dataclass(frozen=True)
class PolicyTargets:
    """What the thresholds must reach on the calibration part.

    Attributes:
        maximum_escape_rate: share of the defects that may be accepted, 0 to 1.
        maximum_false_reject_rate: share of the good pictures that may be rejected, 0 to 1.
        confidence: with which these rates are to be proven, above 0 and below 1.
        every_class: whether the escape rate is to be proven for every class of defects, as
            far as it has pictures enough, and not for all defects together only.
        vote_frames: how many frames of a part are voted into one verdict.
    """

    maximum_escape_rate: float = DEFAULT_MAXIMUM_RATE
    maximum_false_reject_rate: float = DEFAULT_MAXIMUM_RATE
    confidence: float = DEFAULT_CONFIDENCE
    every_class: bool = False
    vote_frames: int = DEFAULT_VOTE_FRAMES

    def __post_init__(self) -> None:
        for option, rate in (
            ("--max-escape-rate", self.maximum_escape_rate),
            ("--max-false-reject-rate", self.maximum_false_reject_rate),
        ):
            if not 0.0 <= rate < 1.0:
                raise ConfigError(f"{option}: expected a share from 0 to below 1, got {rate}")
        if not 0.0 < self.confidence < 1.0:
            raise ConfigError(
                f"--confidence: expected a probability between 0 and 1, got {self.confidence}"
            )
        if not 1 <= self.vote_frames <= _MOST_VOTE_FRAMES:
            raise ConfigError(
                f"--vote-frames: expected 1 to {_MOST_VOTE_FRAMES}, got {self.vote_frames}"
            )


_MOST_VOTE_FRAMES = 1000


@dataclasses.dataclass(frozen=True)
class VerdictCounts:
    """What a policy does to pictures whose truth is known.

    Attributes:
        defects: how many are defective.
        goods: how many are good.
        escapes: defects with the verdict accept.
        false_rejects: good ones with the verdict reject.
        unsure: any with the verdict unsure.
    """

    defects: int
    goods: int
    escapes: int
    false_rejects: int
    unsure: int


def count_verdicts(
    defect_probability: Float64Array, defective: BoolArray, policy: DecisionPolicy
) -> VerdictCounts:
    """Judge pictures by a policy and count; both arrays have the shape ``(n,)``."""
    verdicts = [judge(float(value), policy) for value in defect_probability]
    judged = Counter(zip(verdicts, defective.tolist(), strict=True))
    return VerdictCounts(
        defects=int(defective.sum()),
        goods=int((~defective).sum()),
        escapes=judged[Verdict.ACCEPT, True],
        false_rejects=judged[Verdict.REJECT, False],
        unsure=judged[Verdict.UNSURE, True] + judged[Verdict.UNSURE, False],
    )


def allowed_count(rate: float, count: int) -> int:
    """Return how many of ``count`` a rate allows, rounded down; the rate is taken as written."""
    return math.floor(Fraction(str(rate)) * count)


def allowed_errors(pictures: int, rate: float, confidence: float) -> int:
    """Return how many errors the calibration part may show: as prove the rate, if any do."""
    provable = provable_errors(pictures, rate, confidence)
    return allowed_count(rate, pictures) if provable is None else provable


def choose_policy(
    defect_probability: Float64Array, truth: Sequence[Label], targets: PolicyTargets
) -> DecisionPolicy:
    """Choose thresholds that hold the targets on these pictures.

    Args:
        defect_probability: shape ``(n,)``, of the model that will run.
        truth: true label of each picture, at least one of each role.
        targets: the rates to hold.

    Raises:
        GateError: no threshold can hold a target, because the model is certain of
            the wrong answer (probability exactly 0 or 1) for too many.
    """
    defective = np.array([label.role is Role.DEFECT for label in truth])
    # accept_at_most must stay below the first, reject_at_least above the second.
    above_accept = _below_escapes(defect_probability[defective], targets)
    if targets.every_class:
        names = np.array([label.name for label in truth])
        for name in {label.name for label in truth if label.role is Role.DEFECT}:
            of_class = defect_probability[names == name]
            if _can_be_proven(len(of_class), targets):
                above_accept = min(above_accept, _below_escapes(of_class, targets))
    goods = np.sort(defect_probability[~defective])
    false_rejects = allowed_errors(
        len(goods), targets.maximum_false_reject_rate, targets.confidence
    )
    below_reject = float(goods[len(goods) - 1 - false_rejects])
    _require_possible(above_accept, below_reject)
    if below_reject < above_accept:
        accept, reject = _thirds(below_reject, above_accept)
    else:
        accept = _half_way_down(above_accept, defect_probability)
        reject = _half_way_up(below_reject, defect_probability)
    return DecisionPolicy(
        accept_at_most=accept,
        reject_at_least=reject,
        vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=targets.vote_frames),
    )


def _can_be_proven(pictures: int, targets: PolicyTargets) -> bool:
    return provable_errors(pictures, targets.maximum_escape_rate, targets.confidence) is not None


def _below_escapes(defects: Float64Array, targets: PolicyTargets) -> float:
    """Return the smallest probability of a defect that must not be accepted."""
    allowed = allowed_errors(len(defects), targets.maximum_escape_rate, targets.confidence)
    return float(np.sort(defects)[allowed])


def _require_possible(above_accept: float, below_reject: float) -> None:
    if above_accept <= 0.0:
        raise GateError(
            "no accept threshold holds the escape rate on the calibration part: too many defects "
            "have a defect probability of exactly 0; train longer or look for wrong labels"
        )
    if below_reject >= 1.0:
        raise GateError(
            "no reject threshold holds the false-reject rate on the calibration part: too many "
            "good pictures have a defect probability of exactly 1; train longer or look for "
            "wrong labels"
        )


def _thirds(low: float, high: float) -> tuple[float, float]:
    third = (high - low) / 3.0
    accept, reject = low + third, high - third
    # Neighbouring floating-point numbers have no thirds between them.
    return (accept, reject) if low < accept < reject < high else (low, high)


def _half_way_down(limit: float, observed: Float64Array) -> float:
    below = float(observed[observed < limit].max(initial=0.0))
    middle = (below + limit) / 2.0
    return middle if middle < limit else below


def _half_way_up(limit: float, observed: Float64Array) -> float:
    above = float(observed[observed > limit].min(initial=1.0))
    middle = (above + limit) / 2.0
    return middle if middle > limit else above
