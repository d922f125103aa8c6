"""Does a promised rate hold? Thresholds chosen again and again, against a truth that is known."""

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.special

from linegate_bundle.manifest import Label, Role
from linegate_export.policy import PolicyTargets, allowed_count, choose_policy

Float64Array = npt.NDArray[np.float64]

GOOD = Label(name="good", role=Role.GOOD)
BAD = Label(name="bad", role=Role.DEFECT)
_TRUTH = 1_000_000
_STEP = 0.08
"""Between neighbouring int8 logits, as a trained model has it."""


@dataclasses.dataclass(frozen=True)
class Broken:
    """Shares of the draws whose thresholds have a true rate above the target.

    ``naive`` are thresholds with at most the target's share of errors on the same pictures.
    """

    escapes: float
    false_rejects: float
    naive_escapes: float


def simulate(draws: int, pictures: int, rate: float, *, int8: bool, seed: int = 0) -> Broken:
    """Choose thresholds on ``draws`` calibration parts with so many good and so many bad.

    Args:
        draws: how many.
        pictures: of each role in a calibration part.
        rate: target of escapes and of false rejects.
        int8: whether scores come in the steps of an int8 model, with many ties.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)

    def scores(count: int, centre: float) -> Float64Array:
        logits = random.normal(centre, 1.5, count)
        values = np.round(logits / _STEP) * _STEP if int8 else logits
        result: Float64Array = scipy.special.expit(values)
        return result

    all_bad, all_good = np.sort(scores(_TRUTH, 1.5)), np.sort(scores(_TRUTH, -1.5))
    truth = [GOOD] * pictures + [BAD] * pictures
    broken = np.zeros(3)
    for _ in range(draws):
        good, bad = scores(pictures, -1.5), scores(pictures, 1.5)
        policy = choose_policy(np.concatenate([good, bad]), truth, PolicyTargets(rate, rate))
        escaping = np.searchsorted(all_bad, policy.accept_at_most, side="right") / _TRUTH
        rejected = 1 - np.searchsorted(all_good, policy.reject_at_least, side="left") / _TRUTH
        limit = np.sort(bad)[allowed_count(rate, pictures)]
        naive = np.searchsorted(all_bad, limit, side="left") / _TRUTH
        broken += np.array([escaping, rejected, naive]) > rate
    return Broken(*(broken / draws).tolist())
