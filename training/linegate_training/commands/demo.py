"""``linegate demo``: the whole line, from photographs to live verdicts."""

import argparse
import sys
from pathlib import Path

from linegate_bundle.command import Command


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/demo"),
        metavar="DIR",
        help="folder for everything that the demo makes (default: %(default)s)",
    )
    parser.add_argument(
        "--device-python",
        type=Path,
        default=Path(sys.executable),
        metavar="FILE",
        help="Python of the environment that plays the device (default: this one)",
    )
    parser.add_argument(
        "--parts",
        type=int,
        default=120,
        metavar="N",
        help="how many solar cells travel past the camera (default: %(default)s)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="do every step again, also those that are done"
    )


def _run(options: argparse.Namespace) -> int:
    from linegate_training.demo.demo import DemoOptions, run_demo  # noqa: PLC0415 - keeps --help fast
    from linegate_training.demo.summary import table  # noqa: PLC0415

    summary = run_demo(
        DemoOptions(
            out=options.out,
            device_python=options.device_python,
            parts=options.parts,
            fresh=options.fresh,
        )
    )
    sys.stdout.write("\n" + table(summary))
    return 0


COMMAND = Command(
    name="demo",
    help="train, export and inspect real solar cells, from photographs to live verdicts",
    description=(
        "Show the whole line on the photographs of elpv-dataset (for non-commercial use): lay out\n"
        "one folder a class, train, export, and judge held-out cells that travel past a camera\n"
        "simulated as an MJPEG stream on this machine. Prints the figures, and writes them to\n"
        "DIR/summary.json. A step that is done already is skipped."
    ),
    configure=_configure,
    run=_run,
)
