"""Choosing the accept and reject thresholds on the calibration part.

Of the errors that are seen there, so many are allowed as prove the target with the
user's confidence (:mod:`linegate_export.proof`), where one picture of each group counts
(:mod:`linegate_export.trials`). Where there are too few to prove it, the rule is empirical:
the target's share of all pictures, which promises nothing.

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
from linegate_bundle.run_folder import SplitRow
from linegate_export.proof import provable_errors
from linegate_export.trials import one_of_each_group

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
        confidence: with which these rates are to be proven, from 0.5 to below 1.
        every_class: whether the escape rate is to be proven for every class of defects, as
            far as it has pictures enough, and not for all defects together only.
        vote_frames: how many frames of a part are voted into one verdict.
        vote_needed: so many of them must say reject to reject the part, and all but less
            than so many accept to accept it; None judges the mean of their log-odds.
    """

    maximum_escape_rate: float = DEFAULT_MAXIMUM_RATE
    maximum_false_reject_rate: float = DEFAULT_MAXIMUM_RATE
    confidence: float = DEFAULT_CONFIDENCE
    every_class: bool = False
    vote_frames: int = DEFAULT_VOTE_FRAMES
    vote_needed: int | None = None

    def __post_init__(self) -> None:
        for option, rate in (
            ("--max-escape-rate", self.maximum_escape_rate),
            ("--max-false-reject-rate", self.maximum_false_reject_rate),
        ):
            if not 0.0 <= rate < 1.0:
                raise ConfigError(f"{option}: expected a share from 0 to below 1, got {rate}")
        if not _LEAST_CONFIDENCE <= self.confidence < 1.0:
            raise ConfigError(
                f"--confidence: expected a probability from {_LEAST_CONFIDENCE} to below 1, "
                f"got {self.confidence}"
            )
        if not 1 <= self.vote_frames <= _MOST_VOTE_FRAMES:
            raise ConfigError(
                f"--vote-frames: expected 1 to {_MOST_VOTE_FRAMES}, got {self.vote_frames}"
            )
        if self.vote_needed is not None and not 1 <= self.vote_needed <= self.vote_frames:
            raise ConfigError(
                f"--vote-needed: expected 1 to {self.vote_frames}, the frames that vote, "
                f"got {self.vote_needed}"
            )


_MOST_VOTE_FRAMES = 1000
_LEAST_CONFIDENCE = 0.5


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


def choose_policy(
    defect_probability: Float64Array,
    rows: Sequence[SplitRow],
    labels: Sequence[Label],
    targets: PolicyTargets,
) -> DecisionPolicy:
    """Choose thresholds that hold the targets on these pictures.

    Args:
        defect_probability: shape ``(n,)``, of the model that will run.
        rows: the calibration part, at least one picture of each role.
        labels: the model's labels.
        targets: the rates to hold.

    Raises:
        GateError: no threshold can hold a target, because the model is certain of
            the wrong answer (probability exactly 0 or 1) for too many.
    """
    names = np.array([row.label for row in rows])
    defects = [label.name for label in labels if label.role is Role.DEFECT]
    defective = np.isin(names, defects)
    escape_rate, false_reject_rate = targets.maximum_escape_rate, targets.maximum_false_reject_rate
    # accept_at_most must stay below the first, reject_at_least above the second.
    above_accept = _limit(defect_probability, rows, defective, escape_rate, targets)
    if targets.every_class:
        for name in defects:
            trials = one_of_each_group(rows, names == name)
            if provable_errors(len(trials), escape_rate, targets.confidence) is not None:
                above_class = _limit(defect_probability, rows, names == name, escape_rate, targets)
                above_accept = min(above_accept, above_class)
    below_reject = -_limit(-defect_probability, rows, ~defective, false_reject_rate, targets)
    _require_possible(above_accept, below_reject)
    if below_reject < above_accept:
        accept, reject = _thirds(below_reject, above_accept)
    else:
        accept = _half_way_down(above_accept, defect_probability)
        reject = _half_way_up(below_reject, defect_probability)
    return DecisionPolicy(
        accept_at_most=accept,
        reject_at_least=reject,
        vote=VotePolicy(
            method=VoteMethod.MEAN_LOG_ODDS if targets.vote_needed is None else VoteMethod.K_OF_N,
            frames=targets.vote_frames,
            needed=targets.vote_needed,
        ),
    )


def _limit(
    scores: Float64Array,
    rows: Sequence[SplitRow],
    among: BoolArray,
    rate: float,
    targets: PolicyTargets,
) -> float:
    """Return the smallest score that must not go wrong, if the smallest scores do so first."""
    trials = one_of_each_group(rows, among)
    allowed = provable_errors(len(trials), rate, targets.confidence)
    if allowed is not None:
        return float(np.sort(scores[trials])[allowed])
    return float(np.sort(scores[among])[allowed_count(rate, int(among.sum()))])


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
