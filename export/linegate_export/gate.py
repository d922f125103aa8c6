"""The accuracy gate: what an int8 artifact may lose, as limits and as checks.

A limit is a share; what is counted is pictures. So many may be lost as the
limit's share of the test part, rounded **down**. A small test part therefore
makes the gate stricter, never looser: with 1 point allowed and 60 pictures not a
single one may be lost net, and the check says so.

Accuracy alone would let a collapse through: a model that calls nearly everything
good loses no accuracy where defects are rare. So the area under the ROC curve,
which no threshold can hide, has a limit too.
"""

import dataclasses
from collections.abc import Mapping

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_export.policy import allowed_count

DEFAULT_MAXIMUM_ACCURACY_LOSS = 0.01
DEFAULT_MAXIMUM_AUC_LOSS = 0.02
DEFAULT_MINIMUM_AGREEMENT = 0.995


@dataclasses.dataclass(frozen=True)
class GateLimits:
    """What the gate lets through.

    Attributes:
        maximum_accuracy_loss: of each int8 artifact against float32, as a share (0.01 is 1 point).
        maximum_auc_loss: of each int8 artifact against float32, from 0 to 1.
        minimum_agreement: share of test pictures that int8 TFLite and int8 ONNX give one label.
    """

    maximum_accuracy_loss: float = DEFAULT_MAXIMUM_ACCURACY_LOSS
    maximum_auc_loss: float = DEFAULT_MAXIMUM_AUC_LOSS
    minimum_agreement: float = DEFAULT_MINIMUM_AGREEMENT

    def __post_init__(self) -> None:
        for option, share in (
            ("--max-accuracy-loss", self.maximum_accuracy_loss),
            ("--max-auc-loss", self.maximum_auc_loss),
            ("--min-agreement", self.minimum_agreement),
        ):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{option}: expected a share from 0 to 1, got {share}")


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
            for check in self.checks
            if not check.passed
        )


@dataclasses.dataclass(frozen=True)
class Reached:
    """What one model reached on the test part."""

    correct: int
    auc: float


def judge_artifacts(
    images: int,
    float32: Reached,
    artifacts: Mapping[str, Reached],
    disagreements: int,
    limits: GateLimits,
) -> GateResult:
    """Hold what was measured against the limits.

    Args:
        images: pictures in the test part, at least one.
        float32: what the float model reached.
        artifacts: what each int8 artifact reached, by its name.
        disagreements: pictures on which the int8 artifacts give different labels.
        limits: what is allowed.
    """
    losses = [
        check
        for name, reached in artifacts.items()
        for check in (
            _accuracy_loss(
                name, images, float32.correct - reached.correct, limits.maximum_accuracy_loss
            ),
            _auc_loss(name, float32.auc - reached.auc, limits.maximum_auc_loss),
        )
    ]
    return GateResult(checks=(*losses, _agreement(images, disagreements, limits.minimum_agreement)))


def _accuracy_loss(name: str, images: int, lost: int, limit: float) -> Check:
    allowed = allowed_count(limit, images)
    return Check(
        subject=f"accuracy that {name} loses against float32",
        expected=f"at most {100 * limit:g} points ({_pictures(allowed)} of {images})",
        measured=(
            f"{100 * lost / images:.2f} points ({_pictures(lost)})"
            if lost >= 0
            else f"none, it gains {-100 * lost / images:.2f} points ({_pictures(-lost)})"
        ),
        passed=lost <= allowed,
        note=_resolution(images, limit),
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
    allowed = images - _needed_count(limit, images)
    return Check(
        subject="int8 TFLite and int8 ONNX give the same label",
        expected=f"on at least {100 * limit:g} % ({_pictures(allowed)} of {images} may differ)",
        measured=f"{100 * (1 - disagreements / images):.2f} % ({_pictures(disagreements)} differ)",
        passed=disagreements <= allowed,
        note=_resolution(images, 1 - limit),
    )


def _needed_count(share: float, images: int) -> int:
    """Round up, so that ``share`` of all pictures is really reached; exact as written."""
    return -allowed_count(-share, images)


def _resolution(images: int, share: float) -> str:
    if share <= 0 or share * images >= 1:
        return ""
    return (
        f"one of {images} pictures is {100 / images:.1f} points already, so none is allowed; "
        "a larger test part would measure more finely"
    )


def _pictures(count: int) -> str:
    return f"{count} picture" if count == 1 else f"{count} pictures"
