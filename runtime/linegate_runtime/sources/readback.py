"""What was asked of a camera, against what the camera then says it does.

Cameras take the nearest value that they can give, or ignore what they do not know, and
neither is an error to them. For whoever trained a model on pictures of 2 ms exposure it is.
Pure functions of numbers, without any camera.
"""

import dataclasses
from collections.abc import Sequence

from linegate_bundle.errors import ConfigError
from linegate_runtime.geometry import Size

FPS_SHARE = 0.1
"""A rate may differ by this share of the one asked for."""

EXPOSURE_SHARE = 0.05
GAIN_SHARE = 0.05

WHITE_BALANCE_STEP_K = 100.0
"""A colour temperature may differ by so many kelvin: lamps of one kind differ by more."""


@dataclasses.dataclass(frozen=True)
class Readback:
    """One setting.

    Attributes:
        name: as in the configuration.
        asked: the value asked for, for people.
        got: the value that the camera reports, for people.
        taken: whether they are near enough.
    """

    name: str
    asked: str
    got: str
    taken: bool


def compare(
    name: str, asked: float, got: float | None, *, share: float = 0.0, step: float = 0.0
) -> Readback:
    """Compare a value with what the camera reports.

    Args:
        name: as in the configuration.
        asked: the value asked for.
        got: what the camera reports; None if it does not, which counts as not taken.
        share: it may differ by this share of ``asked``,
        step: or by so much, whichever is more.
    """
    if got is None:
        return Readback(name, f"{asked:g}", "nothing (the camera does not report it)", taken=False)
    taken = abs(got - asked) <= max(step, share * asked)
    return Readback(name, f"{asked:g}", f"{got:.6g}", taken=taken)


def compare_sizes(asked: Size, width: int, height: int) -> Readback:
    """Compare the size of frames with what the camera reports; it must be the same."""
    taken = (asked.width, asked.height) == (width, height)
    return Readback("size", str(asked), f"{width}x{height}", taken=taken)


def refuse_untaken(readbacks: Sequence[Readback]) -> None:
    """Refuse a camera that does not do what was asked.

    Raises:
        ConfigError: names every setting that the camera has not taken.
    """
    untaken = [one for one in readbacks if not one.taken]
    if untaken:
        named = "; ".join(f"{one.name}: asked {one.asked}, got {one.got}" for one in untaken)
        raise ConfigError(f"the camera did not take what was asked: {named}")
