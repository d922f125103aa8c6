"""The accuracy gate: what an artifact may lose against float32, as limits and as checks.

What is held against the limits of accuracy and escapes is not what was seen to be lost, but
its one-sided 95 % upper bound: a loss that the test part is too small to rule out does not
pass. So a small test part makes the gate stricter, never looser, and the check says how many
pictures it would take.

Accuracy alone would let a collapse through: a model that calls nearly everything good
loses no accuracy where defects are rare. So no class may lose much of its recall, and
the area under the ROC curve, which no threshold can hide, has a limit too.
"""

import dataclasses
import math
from collections.abc import Mapping

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_export.paired import Change, Paired
from linegate_export.policy import allowed_count
from linegate_report.statistics import CONFIDENCE

DEFAULT_MAXIMUM_ACCURACY_LOSS = 0.015
DEFAULT_MAXIMUM_NEW_ESCAPES = 0.05
DEFAULT_MAXIMUM_CLASS_LOSS = 0.1
DEFAULT_MAXIMUM_AUC_LOSS = 0.02
DEFAULT_MINIMUM_AGREEMENT = 0.995


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateLimits:
    """What the gate lets through, as shares (0.01 is 1 point).

    Attributes:
        maximum_accuracy_loss: bound of what each other artifact loses against float32.
        maximum_new_escapes: bound of the defects that each accepts and float32 does not.
        maximum_class_loss: recall that a class may be seen to lose; one picture always may be.
        maximum_auc_loss: of each other artifact against float32.
        minimum_agreement: pictures that int8 TFLite and int8 ONNX give one label.
    """

    maximum_accuracy_loss: float = DEFAULT_MAXIMUM_ACCURACY_LOSS
    maximum_new_escapes: float = DEFAULT_MAXIMUM_NEW_ESCAPES
    maximum_class_loss: float = DEFAULT_MAXIMUM_CLASS_LOSS
    maximum_auc_loss: float = DEFAULT_MAXIMUM_AUC_LOSS
    minimum_agreement: float = DEFAULT_MINIMUM_AGREEMENT

    def __post_init__(self) -> None:
        for option, share in (
            ("--max-accuracy-loss", self.maximum_accuracy_loss),
            ("--max-new-escapes", self.maximum_new_escapes),
            ("--max-class-loss", self.maximum_class_loss),
            ("--max-auc-loss", self.maximum_auc_loss),
            ("--min-agreement", self.minimum_agreement),
        ):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{option}: expected a share from 0 to 1, got {share}")


ANYTHING = GateLimits(
    maximum_accuracy_loss=1.0,
    maximum_new_escapes=1.0,
    maximum_class_loss=1.0,
    maximum_auc_loss=1.0,
    minimum_agreement=0.0,
)
"""Limits that let everything through, for measuring."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the gate.

    Attributes:
        subject: what was checked.
        expected: the limit, in words and numbers.
        measured: what came out, in words and numbers.
        passed: whether it is within the limit.
        note: what a reader must know about the check, or nothing.
    """

    subject: str
    expected: str
    measured: str
    passed: bool
    note: str


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of the gate; it is passed if each of them is."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether a bundle may be written."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> str:
        """The failed checks in one sentence each."""
        return "; ".join(
            f"{check.subject}: expected {check.expected}, got {check.measured}"
            + (f" ({check.note})" if check.note else "")
            for check in self.checks
            if not check.passed
        )


@dataclasses.dataclass(frozen=True)
class Reached:
    """What an artifact beside float32 ONNX reached on the test part.

    Attributes:
        paired: against float32.
        auc_loss: what it loses of the area under the ROC curve.
    """

    paired: Paired
    auc_loss: float


def judge_artifacts(
    images: int, artifacts: Mapping[str, Reached], disagreements: int, limits: GateLimits
) -> GateResult:
    """Hold what was measured against the limits.

    Args:
        images: pictures in the test part, at least one.
        artifacts: what each artifact beside float32 ONNX reached, by its name.
        disagreements: pictures to which int8 TFLite and int8 ONNX give different labels.
        limits: what is allowed.
    """
    checks = []
    for name, reached in artifacts.items():
        paired = reached.paired
        checks += [
            _bounded(
                f"accuracy that {name} loses against float32",
                _Bounded(paired.labels, paired.labels.bound, "lost", "gained"),
                limits.maximum_accuracy_loss,
                "--max-accuracy-loss",
            ),
            _bounded(
                f"defects that {name} newly accepts",
                _Bounded(paired.escapes, paired.escapes.lost_bound, "new", "gone"),
                limits.maximum_new_escapes,
                "--max-new-escapes",
            ),
            _classes(name, paired.classes, limits.maximum_class_loss),
            _auc_loss(name, reached.auc_loss, limits.maximum_auc_loss),
        ]
    return GateResult(checks=(*checks, _agreement(images, disagreements, limits.minimum_agreement)))


@dataclasses.dataclass(frozen=True)
class _Bounded:
    """What was counted, the bound that follows, and what people call the two counts."""

    change: Change
    bound: float
    lost: str
    gained: str


def needed_pictures(limit: float) -> int:
    """Return on how many pictures without a difference the bound is within a limit above 0."""
    if limit >= 1:
        return 0
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-limit) - 1e-9)


def _bounded(subject: str, bounded: _Bounded, limit: float, option: str) -> Check:
    change = bounded.change
    note = ""
    if limit == 0:
        note = "no number of pictures rules out every loss; allow one above 0"
    elif change.of < needed_pictures(limit):
        note = (
            f"{_pictures(change.of)} cannot rule that out, even without any difference: it takes "
            f"{needed_pictures(limit)}; enlarge the test part, or give a larger {option}"
        )
    return Check(
        subject=subject,
        expected=f"{100 * limit:g} points at most, with {100 * CONFIDENCE:g} % confidence",
        measured=(
            f"{100 * max(0.0, bounded.bound):.2f} points at most; seen: {change.lost} "
            f"{bounded.lost}, {change.gained} {bounded.gained} of {_pictures(change.of)}"
        ),
        passed=bounded.bound <= limit,
        note=note,
    )


def _classes(name: str, classes: Mapping[str, Change], limit: float) -> Check:
    allowed = {label: max(1, allowed_count(limit, change.of)) for label, change in classes.items()}
    collapsed = [
        f"{label} loses {change.net} of {change.of} and may lose {allowed[label]}"
        for label, change in classes.items()
        if change.net > allowed[label]
    ]
    label, worst = max(classes.items(), key=lambda item: item[1].net / max(1, item[1].of))
    return Check(
        subject=f"recall that a class loses in {name}",
        expected=f"at most {100 * limit:g} points, or one picture",
        measured="; ".join(collapsed)
        or (f"{label} loses {worst.net} of {worst.of}" if worst.net > 0 else "none loses any"),
        passed=not collapsed,
        note="",
    )


def _auc_loss(name: str, lost: float, limit: float) -> Check:
    return Check(
        subject=f"area under the ROC curve that {name} loses against float32",
        expected=f"at most {limit:g}",
        measured=f"{lost:.4f}" if lost >= 0 else f"none, it gains {-lost:.4f}",
        passed=lost <= limit,
        note="",
    )


def _agreement(images: int, disagreements: int, limit: float) -> Check:
    allowed = images + allowed_count(-limit, images)
    return Check(
        subject="int8 TFLite and int8 ONNX give the same label",
        expected=f"on at least {100 * limit:g} % ({_pictures(allowed)} of {images} may differ)",
        measured=f"{100 * (1 - disagreements / images):.2f} % ({_pictures(disagreements)} differ)",
        passed=disagreements <= allowed,
        note=_resolution(images, 1 - limit),
    )


def _resolution(images: int, share: float) -> str:
    if share <= 0 or share * images >= 1:
        return ""
    return (
        f"one of {images} pictures is {100 / images:.1f} points already, so none is allowed; "
        "a larger test part would measure more finely"
    )


def _pictures(count: int) -> str:
    return f"{count} picture" if count == 1 else f"{count} pictures"
