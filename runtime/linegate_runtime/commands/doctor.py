"""``linegate doctor``: is everything in order that a line needs?

With ``--view`` or ``--save`` it shows what cameras and triggers see instead.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from linegate_bundle.command import Command
from linegate_bundle.errors import ConfigError
from linegate_runtime.commands.doctor_view import add_view, show
from linegate_runtime.commands.scene_options import add_scene

_DESCRIPTION = """\
Look at everything that a line needs, and print a line for each thing: whether it is ok, a
warning or failed, what was found, and what to do.

  linegate doctor
  linegate doctor --config line.toml --bundle cells-1.0.0.linegate
  linegate doctor --camera 0 --json

Without --config and --camera the settings of the installed service are taken, if there are
any: /etc/linegate/linegate.toml. Each camera is opened for some seconds, unless the running
service holds it. With sudo and these settings, engine and cameras are tried as the service's
user.

Exit code 0: nothing failed, though there may be warnings. Else by the first that failed:
4  the configuration, the pins or the clock
5  a camera
6  Python, packages, engine or bundle, service, temperature or power
7  the disk, for record and pictures

With --view or --save it shows what the cameras and their triggers see, without any model:
the region of interest, what the trigger notices, and each part as it would be cut out.

  linegate doctor --view --camera 0 --part-size 300x300
  linegate doctor --save pictures --config line.toml --pictures 50

--view serves a page on this machine for a browser. --save writes the pictures that a
browser would show, and beside them the camera's own, which `linegate run --camera
DIR/camera-1` plays again with their times."""

_INDENT = "\n" + 22 * " "
"""Below the detail, for mistakes that are listed."""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_scene(parser)
    checks = parser.add_argument_group("checks")
    checks.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="the .linegate file that the engine is to run (default: that of the settings, or a "
        "tiny model of linegate's)",
    )
    checks.add_argument("--json", action="store_true", help="one JSON object a check")
    add_view(parser)


def _run(options: argparse.Namespace) -> int:
    if options.view is not None or options.save is not None:
        return show(options)
    if options.seconds is not None or options.pictures is not None:
        raise ConfigError("--seconds and --pictures belong to --view or --save; give one of these")
    return _check(options)


def _check(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - the view's cameras start before anything is loaded

    from linegate_runtime.checkup.base import Outcome  # noqa: PLC0415
    from linegate_runtime.checkup.checkup import Line, checkup  # noqa: PLC0415
    from linegate_runtime.config_file import Overrides  # noqa: PLC0415

    code = 0
    # A bundle alone is no line: it can be tried without any settings.
    overrides = dataclasses.replace(Overrides.of(options), bundle=None)
    line = Line(config=options.config, overrides=overrides, bundle=options.bundle)
    for finding in checkup(line):
        if finding.outcome is Outcome.FAILED:
            code = code or finding.subject.exit_code
        if options.json:
            text = msgspec.json.encode(finding).decode()
        else:
            told = " -> ".join(part for part in (finding.detail, finding.advice) if part)
            text = f"{finding.outcome.value:<8}{finding.subject.value:<14}{told}"
            text = text.replace("\n", _INDENT)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    return code


COMMAND = Command(
    name="doctor",
    help="check everything that a line needs; show what a camera and its trigger see",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
