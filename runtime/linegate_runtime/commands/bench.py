"""``linegate bench``: how fast a bundle is on this machine, and which way to run it."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator

import cv2
import msgspec

from linegate_bundle.command import Command
from linegate_runtime.bench import (
    BenchOptions,
    Candidate,
    Measured,
    Sustained,
    measure,
    remember_proposal,
)
from linegate_runtime.commands.arguments import positive_integer, size
from linegate_runtime.commands.options import add_bundle, open_bundle
from linegate_runtime.status import Status

_DESCRIPTION = """\
Time the bundle's models on this machine: from the frame to the model's input, the engine
alone, from its output to the verdict, and all together; by engine and number of threads,
by turns. Then run the fastest without a pause, and watch the temperature.

What is proposed is kept for `linegate run --engine auto`, until the bundle, the versions
of the software or the processor change; not if --engine or --threads left anything out."""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="tflite, onnx or an added engine; may be repeated (default: all that are installed)",
    )
    parser.add_argument(
        "--threads",
        action="append",
        type=positive_integer,
        metavar="N",
        help="threads of one inference; may be repeated (default: 1, 2, 4, ... up to all cores)",
    )
    parser.add_argument(
        "--size",
        type=size,
        default=BenchOptions().size,
        metavar="WxH",
        help="size of the camera's frames (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=BenchOptions().sustained_s,
        metavar="S",
        help="run the fastest so long without a pause; 0 leaves it out (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="all figures as one JSON object")


def _run(options: argparse.Namespace) -> int:
    cv2.setNumThreads(1)  # as the line does
    wishes = BenchOptions(
        engines=None if options.engine is None else tuple(options.engine),
        threads=None if options.threads is None else tuple(options.threads),
        size=options.size,
        sustained_s=options.seconds,
    )
    with open_bundle(options.bundle) as bundle, _progress() as progress:
        measured = measure(bundle, wishes, progress)
        if wishes.engines is None and wishes.threads is None:
            # A comparison of some ways only says nothing about the best one.
            remember_proposal(measured)
        title = f"{bundle.manifest.name} {bundle.manifest.version}"
    if options.json:
        sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
    else:
        sys.stdout.write(table(title, measured))
    return 0


def table(title: str, measured: Measured) -> str:
    """Return the figures as text for people; times in milliseconds."""
    width, height = measured.frame
    identity = measured.identity
    lines = [
        f"{title} on {identity.processor}, {identity.cores} cores",
        (
            f"frames of {width}x{height}; medians of {measured.rounds} rounds in ms, "
            "the candidates took turns"
        ),
        "",
        (
            f"  {'engine':<8}{'threads':>8}{'preprocess':>12}{'invoke':>9}{'decide':>9}"
            f"{'whole':>9}{'p99':>9}  runs on"
        ),
    ]
    lines += [_row(one, measured.proposal) for one in measured.candidates]
    lines += ["", f"proposal: --engine {measured.proposal.engine} {_threads(measured.proposal)}"]
    if measured.sustained is not None:
        lines += _sustained(measured.sustained)
    return "\n".join(lines) + "\n"


def _row(candidate: Candidate, proposal: Candidate) -> str:
    mark = "*" if candidate == proposal else " "
    start = f"{mark} {candidate.engine:<8}{candidate.threads:>8}"
    stages = candidate.stages
    if stages is None or candidate.runs_on is None:
        return f"{start}  failed: {candidate.error}"
    engine = candidate.runs_on
    return (
        f"{start}{stages.preprocess:>12.3f}{stages.invoke:>9.3f}{stages.decide:>9.3f}"
        f"{stages.whole:>9.3f}{stages.p99:>9.3f}  {engine.name} {engine.version} ({engine.kernel})"
    )


def _threads(candidate: Candidate) -> str:
    return f"--threads {candidate.threads}"


def _sustained(sustained: Sustained) -> list[str]:
    lines = [
        (
            f"without a pause for {sustained.seconds:.0f} s: {sustained.frames_per_second:.1f} "
            f"frames a second (windows of 5 s: {sustained.slowest:.1f} to {sustained.fastest:.1f})"
        )
    ]
    start, end = sustained.temperature_start_c, sustained.temperature_end_c
    if start is None or end is None:
        lines.append("temperature: this machine does not tell")
    else:
        lines.append(f"temperature: {start:.0f} °C before, {end:.0f} °C after")
    if sustained.throttling is None:
        lines.append("throttling: this machine does not tell")
    else:
        lines.append(f"throttling: {', '.join(sustained.throttling) or 'none'}")
    return lines


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    status = Status(sys.stderr)

    def show(text: str) -> None:
        if status.is_due:
            status.show(text)

    try:
        yield show
    finally:
        status.clear()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds from 0 up, got {text}")
    return seconds


COMMAND = Command(
    name="bench",
    help="time a bundle on this machine, and propose engine and threads",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
