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
    ModelEntry,
    Risk,
    Role,
    Verdict,
)
from linegate_bundle.run_folder import SplitRow
from linegate_export.policy import BoolArray, Float64Array, PolicyTargets
from linegate_export.proof import needed_pictures, p_value
from linegate_export.trials import one_of_each_group


class Unproven(msgspec.Struct, frozen=True, kw_only=True):
    """A target that the calibration part does not prove.

    Attributes:
        risk: whose rate.
        label: of the pictures that were counted; None counts all of the risk's role.
        target: the rate that was to be proven.
        confidence: with which.
        pictures: how many there are.
        groups: among them; of each one picture was counted.
        errors: how many of the counted ones went wrong at the thresholds.
        needed: groups without an error that would prove it; None if no number does.
    """

    risk: Risk
    label: str | None
    target: float
    confidence: float
    pictures: int
    groups: int
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
    *,
    entry: ModelEntry,
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
        entry: the model, with the engine that ran it.
    """
    proven: list[Guarantee] = []
    unproven: list[Unproven] = []
    verdicts = np.array([judge(float(value), policy) for value in defect_probability])
    for risk, label, pictures, wrong in _counted(verdicts, rows, labels):
        escape = risk is Risk.ESCAPE
        target = targets.maximum_escape_rate if escape else targets.maximum_false_reject_rate
        errors, trials = int(wrong.sum()), len(wrong)
        chance = p_value(errors, trials, target)
        # At the last threshold in the order of tests this is the rule that chose it.
        if target > 0 and chance <= 1 - targets.confidence:
            proven.append(
                Guarantee(
                    risk=risk,
                    label=label,
                    target=target,
                    confidence=targets.confidence,
                    pictures=trials,
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
                    groups=trials,
                    errors=errors,
                    needed=needed_pictures(target, targets.confidence),
                )
            )
    certificate = _certificate(proven, rows, entry) if proven else None
    return Proofs(certificate, tuple(unproven))


def _counted(
    verdicts: np.ndarray, rows: Sequence[SplitRow], labels: Sequence[Label]
) -> Iterator[tuple[Risk, str | None, int, BoolArray]]:
    """Give what is tested, of how many pictures, and which of the trials went wrong."""
    truth = np.array([row.label for row in rows])
    defects = [label.name for label in labels if label.role is Role.DEFECT]
    defective = np.isin(truth, defects)
    accepted, rejected = verdicts == Verdict.ACCEPT, verdicts == Verdict.REJECT
    tested: list[tuple[Risk, str | None, BoolArray, BoolArray]]
    tested = [(Risk.ESCAPE, None, defective, accepted)]
    if len(defects) > 1:
        tested += [(Risk.ESCAPE, name, truth == name, accepted) for name in defects]
    tested.append((Risk.FALSE_REJECT, None, ~defective, rejected))
    for risk, label, among, wrong in tested:
        yield risk, label, int(among.sum()), wrong[one_of_each_group(rows, among)]


def _certificate(
    proven: Sequence[Guarantee], rows: Sequence[SplitRow], entry: ModelEntry
) -> Certificate:
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.path):
        digest.update(f"{row.path}\t{row.label}\t{row.sha256}\n".encode())
    return Certificate(
        guarantees=tuple(proven),
        model=entry.file,
        engine=entry.engine,
        data_sha256=digest.hexdigest(),
        pictures=len(rows),
        groups=len({row.group for row in rows}),
    )
