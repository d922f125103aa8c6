"""``linegate compare``: two bundles on the same photographs."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from linegate_bundle.command import Command
from linegate_bundle.manifest import ModelFormat

if TYPE_CHECKING:
    from linegate_export.bundles import Comparison
    from linegate_export.measured import Rate
    from linegate_export.paired import Change

_DESCRIPTION = """\
Judge the same photographs with two bundles, each by its own preprocessing and thresholds,
and tell what changed from the first to the second and what that proves.

DIR holds one folder a label, as for the training. Photographs that one of the bundles was
trained on flatter it: give the split of its run, and only the test part is taken.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("first", metavar="A.linegate", type=Path, help="the bundle in use")
    parser.add_argument("second", metavar="B.linegate", type=Path, help="the one to replace it")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder with one folder a label"
    )
    parser.add_argument(
        "--split", metavar="FILE", type=Path, help="take the test part of this split.csv only"
    )
    parser.add_argument(
        "--engine",
        type=ModelFormat,
        choices=list(ModelFormat),
        default=ModelFormat.TFLITE,
        help="which of the int8 models to run (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compare and print."""
    from linegate_export.bundles import (  # noqa: PLC0415 - imports SciPy
        compare_bundles,
        find_photographs,
    )

    photographs = find_photographs(arguments.data, arguments.split)
    found = compare_bundles(arguments.first, arguments.second, photographs, arguments.engine)
    if arguments.json:
        text = msgspec.json.format(msgspec.json.encode(found, order="deterministic")).decode()
    else:
        text = describe(found)
    sys.stdout.write(f"{text}\n")
    return 0


def describe(found: "Comparison") -> str:
    """Return a comparison as text for people."""
    lines = [f"{found.photographs} photographs, 95 % intervals in brackets"]
    for title, one in (("A", found.first), ("B", found.second)):
        lines += [
            f"{title}  {one.name}  {one.sha256[:12]}",
            f"   right label   {_rate(one.accuracy)}",
            f"   escapes       {_rate(one.escapes)}",
            f"   false rejects {_rate(one.false_rejects)}",
            f"   unsure        {_rate(one.unsure)}",
        ]
    paired = found.paired
    lines += [
        "from A to B",
        f"   right label   {_change(paired.labels)}",
        *(f"     {name:<12}{_change(change)}" for name, change in paired.classes.items()),
        f"   escapes       {_change(paired.escapes, 'new', 'gone')}",
        f"   false rejects {_change(paired.false_rejects, 'new', 'gone')}",
        (
            f"   defect probability changes by {paired.mean_change:.4f} on average, "
            f"{paired.largest_change:.3f} at most"
        ),
    ]
    return "\n".join(lines)


def _rate(one: "Rate") -> str:
    low, high = 100 * one.interval.low, 100 * one.interval.high
    return f"{100 * one.share:6.2f} %  {one.count} of {one.of}  ({low:.1f} to {high:.1f})"


def _change(one: "Change", lost: str = "lost", gained: str = "gained") -> str:
    if one.of == 0:
        return "no such photographs"
    p_value = "p < 0.001" if one.p_value < _SMALLEST_TOLD else f"p {one.p_value:.3f}"
    worse = f"{100 * one.bound:.2f} points worse at most" if one.bound > 0 else "not worse"
    return (
        f"{one.lost} {lost}, {one.gained} {gained} of {one.of}; {p_value}; with 95 % "
        f"confidence {worse}"
    )


_SMALLEST_TOLD = 0.001


COMMAND = Command(
    name="compare",
    help="compare two bundles on the same photographs",
    description=_DESCRIPTION,
    configure=configure,
    run=run,
)
