"""What is proven about the thresholds, and what could not be, in figures."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from linegate_bundle.decide import judge
from linegate_bundle.manifest import (
    Certificate,
    DecisionPolicy,
    Guarantee,
    Label,
    Risk,
    Role,
    Verdict,
)
from linegate_bundle.run_folder import SplitRow
from linegate_export.policy import BoolArray, Float64Array, PolicyTargets
from linegate_export.proof import needed_pictures, p_value


class Unproven(msgspec.Struct, frozen=True, kw_only=True):
    """A target that the calibration part does not prove.

    Attributes:
        risk: whose rate.
        label: of the pictures that were counted; None counts all of the risk's role.
        target: the rate that was to be proven.
        confidence: with which.
        pictures: how many were counted.
        errors: how many of them went wrong at the thresholds.
        needed: pictures without an error that would prove it; None if no number does.
    """

    risk: Risk
    label: str | None
    target: float
    confidence: float
    pictures: int
    errors: int
    needed: int | None


@dataclasses.dataclass(frozen=True)
class Proofs:
    """The certificate, if anything is proven, and what is not."""

    certificate: Certificate | None
    unproven: tuple[Unproven, ...]


def certify(
    defect_probability: Float64Array,
    rows: Sequence[SplitRow],
    labels: Sequence[Label],
    policy: DecisionPolicy,
    targets: PolicyTargets,
) -> Proofs:
    """Say what the thresholds of a policy prove on the pictures that they were chosen on.

    Each statement is proven by itself: of all the statements made with 95 % confidence, one
    in twenty may be wrong.

    Args:
        defect_probability: shape ``(n,)``, of the model that will run.
        rows: the calibration part.
        labels: the model's labels.
        policy: chosen by :func:`linegate_export.policy.choose_policy` on these pictures.
        targets: what it was chosen for.
    """
    proven: list[Guarantee] = []
    unproven: list[Unproven] = []
    verdicts = np.array([judge(float(value), policy) for value in defect_probability])
    for risk, label, wrong in _counted(verdicts, rows, labels):
        escape = risk is Risk.ESCAPE
        target = targets.maximum_escape_rate if escape else targets.maximum_false_reject_rate
        errors, pictures = int(wrong.sum()), len(wrong)
        chance = p_value(errors, pictures, target)
        # At the last threshold in the order of tests this is the rule that chose it.
        if target > 0 and chance <= 1 - targets.confidence:
            proven.append(
                Guarantee(
                    risk=risk,
                    label=label,
                    target=target,
                    confidence=targets.confidence,
                    pictures=pictures,
                    errors=errors,
                    p_value=chance,
                )
            )
        else:
            unproven.append(
                Unproven(
                    risk=risk,
                    label=label,
                    target=target,
                    confidence=targets.confidence,
                    pictures=pictures,
                    errors=errors,
                    needed=needed_pictures(target, targets.confidence),
                )
            )
    return Proofs(_certificate(proven, rows) if proven else None, tuple(unproven))


def _counted(
    verdicts: np.ndarray, rows: Sequence[SplitRow], labels: Sequence[Label]
) -> Iterator[tuple[Risk, str | None, BoolArray]]:
    """Give what is tested, with which of its pictures went wrong."""
    truth = np.array([row.label for row in rows])
    defects = [label.name for label in labels if label.role is Role.DEFECT]
    defective = np.isin(truth, defects)
    accepted, rejected = verdicts == Verdict.ACCEPT, verdicts == Verdict.REJECT
    yield Risk.ESCAPE, None, accepted[defective]
    if len(defects) > 1:
        for name in defects:
            if np.any(truth == name):
                yield Risk.ESCAPE, name, accepted[truth == name]
    yield Risk.FALSE_REJECT, None, rejected[~defective]


def _certificate(proven: Sequence[Guarantee], rows: Sequence[SplitRow]) -> Certificate:
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.path):
        digest.update(f"{row.path}\t{row.label}\t{row.sha256}\n".encode())
    return Certificate(
        guarantees=tuple(proven),
        data_sha256=digest.hexdigest(),
        pictures=len(rows),
        groups=len({row.group for row in rows}),
    )
