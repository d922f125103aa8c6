"""``linegate classify``: verdicts on pictures and recorded video."""

import argparse
import contextlib
import sys
from pathlib import Path

import msgspec

from linegate_bundle.command import Command
from linegate_bundle.decide import Decision
from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Manifest
from linegate_runtime.classify import Classified, classify
from linegate_runtime.colour_check import mismatch
from linegate_runtime.commands.arguments import positive_integer
from linegate_runtime.commands.options import (
    add_bundle,
    add_engine,
    open_bundle,
)
from linegate_runtime.model import Model
from linegate_runtime.probe import probe


def _configure(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="an image, a video, or a folder with images",
    )
    add_engine(parser)
    parser.add_argument(
        "--every",
        type=positive_integer,
        default=1,
        metavar="N",
        help="of a video, judge every N-th frame (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _run(options: argparse.Namespace) -> int:
    counts: dict[str, int] = {}
    others = 0
    with contextlib.ExitStack() as stack:
        bundle = stack.enter_context(open_bundle(options.bundle))
        probe(bundle, options.engine, options.threads)
        model = stack.enter_context(Model.open(bundle, options.engine, options.threads))
        if not options.json:
            sys.stdout.write(f"{'verdict':<8}{'p(defect)':>9}  {'label':<20} file\n")
        for result in classify(model, options.paths, options.every):
            decision = result.decision
            others += result.is_of_other_colour
            outcome = "unreadable" if decision is None else decision.verdict.value
            counts[outcome] = counts.get(outcome, 0) + 1
            if result.error is not None:
                sys.stderr.write(f"linegate: {result.error}\n")
            if options.json:
                sys.stdout.write(_json_line(result, model.manifest) + "\n")
            elif decision is not None:
                sys.stdout.write(_table_line(result, decision) + "\n")
        expected = model.manifest.provenance.coloured
    if others and expected is not None:
        text = mismatch(expected, f"{others} of them are")
        sys.stderr.write(f"linegate: {text}\n")
    if not options.json:
        sys.stdout.write(", ".join(f"{count} {name}" for name, count in counts.items()) + "\n")
    return DataError.exit_code if "unreadable" in counts else 0


def _table_line(result: Classified, decision: Decision) -> str:
    frame = "" if result.frame is None else f" frame {result.frame}"
    return (
        f"{decision.verdict.value:<8}{decision.defect_probability:>9.4f}  "
        f"{decision.label:<20} {result.path}{frame}"
    )


def _json_line(result: Classified, manifest: Manifest) -> str:
    document: dict[str, object] = {"path": result.path, "frame": result.frame}
    decision = result.decision
    if decision is None:
        document["error"] = result.error
    else:
        names = [label.name for label in manifest.labels]
        document["verdict"] = decision.verdict
        document["label"] = decision.label
        document["probability"] = decision.probability
        document["defect_probability"] = decision.defect_probability
        document["probabilities"] = dict(zip(names, decision.probabilities, strict=True))
    return msgspec.json.encode(document).decode()


COMMAND = Command(
    name="classify",
    help="judge images, folders of images or a video",
    description=(
        "Judge pictures from disk exactly as the live inspection judges one frame.\n"
        "A file that cannot be read is named on standard error; the others are still judged,\n"
        "and the exit code is 8."
    ),
    configure=_configure,
    run=_run,
)
