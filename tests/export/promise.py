"""Does a promised rate hold? Thresholds chosen again and again, against a truth that is known."""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt
import scipy.special

from linegate_bundle.manifest import Label, Role
from linegate_bundle.run_folder import Part, SplitRow
from linegate_export.policy import PolicyTargets, allowed_count, choose_policy

Float64Array = npt.NDArray[np.float64]

GOOD = Label(name="good", role=Role.GOOD)
BAD = Label(name="bad", role=Role.DEFECT)
_TRUTH = 1_000_000
_SPREAD = 1.5
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


@dataclasses.dataclass(frozen=True)
class Groups:
    """How pictures of a calibration part belong together.

    Attributes:
        size: pictures in each group.
        alike: share of the scores' variance that pictures of one group have in common.
        told: whether the split knows the groups.
    """

    size: int = 1
    alike: float = 0.0
    told: bool = True


ALONE = Groups()


def simulate(
    draws: int,
    pictures: int,
    rate: float,
    *,
    int8: bool,
    groups: Groups = ALONE,
    seed: int = 0,
) -> Broken:
    """Choose thresholds on ``draws`` calibration parts with so many good and so many bad.

    Args:
        draws: how many.
        pictures: of each role in a calibration part.
        rate: target of escapes and of false rejects.
        int8: whether scores come in the steps of an int8 model, with many ties.
        groups: of the calibration part.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)

    def scores(count: int, centre: float, size: int = 1) -> Float64Array:
        common = np.repeat(random.normal(0, 1, -(-count // size)), size)[:count]
        own = random.normal(0, 1, count)
        spread = np.sqrt(groups.alike) * common + np.sqrt(1 - groups.alike) * own
        logits = centre + _SPREAD * spread
        values = np.round(logits / _STEP) * _STEP if int8 else logits
        result: Float64Array = scipy.special.expit(values)
        return result

    all_bad, all_good = np.sort(scores(_TRUTH, 1.5)), np.sort(scores(_TRUTH, -1.5))
    rows = _rows(pictures, groups)
    broken = np.zeros(3)
    for _ in range(draws):
        good, bad = scores(pictures, -1.5, groups.size), scores(pictures, 1.5, groups.size)
        values = np.concatenate([good, bad])
        policy = choose_policy(values, rows, (GOOD, BAD), PolicyTargets(rate, rate))
        escaping = np.searchsorted(all_bad, policy.accept_at_most, side="right") / _TRUTH
        rejected = 1 - np.searchsorted(all_good, policy.reject_at_least, side="left") / _TRUTH
        limit = np.sort(bad)[allowed_count(rate, pictures)]
        naive = np.searchsorted(all_bad, limit, side="left") / _TRUTH
        broken += np.array([escaping, rejected, naive]) > rate
    return Broken(*(broken / draws).tolist())


def _rows(pictures: int, groups: Groups) -> list[SplitRow]:
    size = groups.size if groups.told else 1
    return [
        SplitRow(
            f"{label.name}/{number}",
            label.name,
            f"{label.name}{number // size}",
            Part.CALIBRATION,
            hashlib.sha256(f"{label.name}{number}".encode()).hexdigest(),
        )
        for label in (GOOD, BAD)
        for number in range(pictures)
    ]
