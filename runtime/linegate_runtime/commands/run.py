"""``linegate run``: live inspection of one or more cameras.

The cameras' processes start before anything heavy is imported, so that the camera
opens while Python loads OpenCV and the engine; hence the imports in functions.
"""

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from linegate_bundle.command import Command
from linegate_runtime.commands.arguments import positive_integer, seconds
from linegate_runtime.commands.scene_options import add_scene
from linegate_runtime.signals import listen_to_signals

if TYPE_CHECKING:
    from linegate_runtime.capture_child_start import Child

_DESCRIPTION = """\
Watch a camera, find each part, judge it, and write one row a part to a SQLite file.

  linegate run cells-1.0.0.linegate --camera http://192.168.1.20/stream.mjpg \\
      --empty empty.png --part-size 300x300

A camera that does not answer or is lost is opened again until the run ends.
Ctrl-C or SIGTERM ends it in order: parts in view are judged with the frames seen.
SIGHUP opens the bundle anew, after it was tried in a process of its own; if it is not
good, the line goes on with the one it has. As a service of systemd it says when it is ready,
that it is alive, and how it does (`systemctl status`)."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        metavar="BUNDLE",
        help="the .linegate file; may stand in the configuration instead",
    )
    add_scene(parser)
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine", metavar="NAME", help="tflite (default), onnx or an added engine"
    )
    engine.add_argument(
        "--threads",
        type=positive_integer,
        metavar="N",
        help="threads of one inference (default: 1)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="SQLite file with one row a part (default: linegate.sqlite)",
    )
    output.add_argument(
        "--json", action="store_true", help="verdicts as JSON lines on the standard output"
    )
    parser.add_argument(
        "--allow-looser",
        action="store_true",
        help="let [verdict] of the configuration be looser than the bundle; every row says so",
    )
    parser.add_argument(
        "--parts", type=positive_integer, metavar="N", help="end after so many parts"
    )
    parser.add_argument("--seconds", type=seconds, metavar="S", help="end after so long")


def _run(options: argparse.Namespace) -> int:
    # Before numpy loads: its threads for linear algebra would only cost start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with listen_to_signals(reloads=True) as asked, contextlib.ExitStack() as stack:
        children = [] if options.child is None else [options.child]
        stack.callback(_close_all, children)
        from linegate_bundle.errors import ConfigError  # noqa: PLC0415
        from linegate_runtime.capture import Capture  # noqa: PLC0415
        from linegate_runtime.config_file import Overrides, load_config  # noqa: PLC0415
        from linegate_runtime.service_manager import ServiceManager  # noqa: PLC0415

        manager = stack.enter_context(contextlib.closing(ServiceManager.of(os.environ)))
        config = load_config(options.config, Overrides.of(options))
        if config.bundle is None:
            raise ConfigError(
                "which bundle? Expected `linegate run NAME.linegate ...`, or "
                'bundle = "NAME.linegate" at the head of the configuration'
            )

        captures = [
            stack.enter_context(
                Capture(camera.request, camera.name, children.pop() if children else None)
            )
            for camera in config.cameras
        ]
        from linegate_runtime.live import Wishes, inspect_live  # noqa: PLC0415
        from linegate_runtime.loop import Limits  # noqa: PLC0415

        wishes = Wishes(
            limits=Limits(parts=options.parts, seconds=options.seconds),
            json_lines=options.json,
            allow_looser=options.allow_looser,
            is_stopped=asked.is_stopped,
            is_reload_asked=asked.take_reload,
            manager=manager,
        )
        inspect_live(config.bundle, config, captures, wishes)
    return 0


def _close_all(children: "list[Child]") -> None:
    for child in children:
        child.close()


COMMAND = Command(
    name="run",
    help="judge the parts before a live camera",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
