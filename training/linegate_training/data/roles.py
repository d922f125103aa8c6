"""Which classes are good parts and which are defects."""

import re
from collections.abc import Sequence

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Label, Role

GOOD_NAMES = frozenset(
    {
        "acceptable", "accept", "accepted", "conforming", "defectfree", "fine", "flawless",
        "functional", "good", "gut", "healthy", "intact", "io", "nodefect", "nodefects",
        "nondefective", "normal", "ok", "okay", "pass", "passed", "undamaged",
    }
)  # fmt: skip
"""Usual names of good classes, in lower case and without separators."""


def assign_roles(names: Sequence[str], good: Sequence[str]) -> tuple[Label, ...]:
    """Give every class its role, and bring the classes into the model's order.

    Good classes come first, each kind by name. With two classes the one logit so
    speaks for the defect.

    Args:
        names: all classes.
        good: those that are good; if empty, those with a usual name.

    Raises:
        ConfigError: ``good`` names no class, or leaves no good or no defective one.
    """
    unknown = sorted(set(good) - set(names))
    if unknown:
        raise ConfigError(
            f"expected good classes among {', '.join(sorted(names))}, got {', '.join(unknown)}"
        )
    chosen = set(good) or {name for name in names if _plain(name) in GOOD_NAMES}
    if not chosen or chosen == set(names):
        found = "all of them are" if chosen else "none of them is"
        raise ConfigError(
            f"of the classes {', '.join(sorted(names))} {found} taken for good parts; say which "
            "are good with --good NAME (once for each)"
        )
    labels = [Label(name=name, role=Role.GOOD if name in chosen else Role.DEFECT) for name in names]
    return tuple(sorted(labels, key=lambda label: (label.role is Role.DEFECT, label.name)))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
