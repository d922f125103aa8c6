"""Soft labels: how sure an image's label is, where experts disagree."""

import math
from collections.abc import Mapping, Sequence

_TOLERANCE = 1e-3
"""People write thirds as 0.333."""
_BINARY = 2


def parse_soft_label(text: str, label: str, labels: Sequence[str]) -> dict[str, float]:
    """Read the shares of the classes in a label.

    Args:
        text: ``name=share;name=share`` with shares that sum to 1, or, where there are two
            classes, one number: the share of ``label``, the rest is the other's.
        label: the image's own label.
        labels: all labels.

    The label must be the likeliest: a row that says otherwise is a mistake, of which one
    column or the other is right.

    Returns:
        Share by label, for those named; in sum exactly 1.

    Raises:
        ValueError: it is not of this form; the message says what was expected.
    """
    shares = _parse_pairs(text) if "=" in text else _parse_number(text, label, labels)
    unknown = sorted(set(shares) - set(labels))
    if unknown:
        raise ValueError(f"expected labels among {', '.join(labels)}, got {', '.join(unknown)}")
    if not all(0 <= share <= 1 for share in shares.values()):
        raise ValueError(f"expected shares from 0 to 1, got {text!r}")
    total = sum(shares.values())
    if not math.isclose(total, 1.0, abs_tol=_TOLERANCE):
        raise ValueError(f"expected shares that sum to 1, got {text!r} (sum {total:g})")
    likeliest = max(shares, key=lambda name: shares[name])
    if shares[likeliest] > shares.get(label, 0.0) + _TOLERANCE:
        raise ValueError(
            f"expected a soft label whose largest share is that of the row's label {label}, got "
            f"{text!r}, which says {likeliest}; one number alone is the share of the row's own "
            "label, not the probability of a defect: then write "
            f"{' and '.join(f'{name}=share' for name in labels[:_BINARY])} with a ';' between"
        )
    return {name: share / total for name, share in shares.items()}


def format_soft_label(shares: Mapping[str, float]) -> str:
    """Write shares as ``name=share;name=share``, sorted by name."""
    return ";".join(f"{name}={share!r}" for name, share in sorted(shares.items()))


def _parse_pairs(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for item in text.split(";"):
        name, _, share = item.rpartition("=")
        name = name.strip()
        if not name or name in shares:
            raise ValueError(f"expected name=share;name=share, each name once, got {text!r}")
        shares[name] = _number(share)
    return shares


def _parse_number(text: str, label: str, labels: Sequence[str]) -> dict[str, float]:
    share = _number(text)
    if len(labels) != _BINARY:
        raise ValueError(
            f"expected name=share;name=share, for one number is enough only with two classes "
            f"and there are {len(labels)}, got {text!r}"
        )
    (other,) = set(labels) - {label}
    return {label: share, other: 1.0 - share}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"expected a number from 0 to 1, got {text.strip()!r}") from error
