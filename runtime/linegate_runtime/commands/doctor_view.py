"""The live view of ``linegate doctor``: what cameras and their triggers see, without a model.

The cameras' processes start before anything heavy is imported, as in ``linegate run``.
"""

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linegate_runtime.commands.arguments import positive_integer, seconds
from linegate_runtime.signals import listen_to_signals

if TYPE_CHECKING:
    from linegate_runtime.capture import Capture
    from linegate_runtime.config import RunConfig
    from linegate_runtime.setup_view.watch import View, Watch

_LOG = logging.getLogger(__name__)

_DEFAULT = ("127.0.0.1", 8077)

_PICTURES = 100

_TICK_S = 0.25


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the options of the live view."""
    view = parser.add_argument_group("live view")
    where = view.add_mutually_exclusive_group()
    where.add_argument(
        "--view",
        type=_host_and_port,
        nargs="?",
        const=_DEFAULT,
        metavar="HOST:PORT",
        help="serve what cameras and triggers see as a page (default: 127.0.0.1:8077); any host "
        "but this machine's own shows the pictures to the whole network",
    )
    where.add_argument("--save", type=Path, metavar="DIR", help="write pictures of it instead")
    view.add_argument(
        "--pictures",
        type=positive_integer,
        metavar="N",
        help=f"with --save: how many of each camera (default: {_PICTURES})",
    )
    view.add_argument(
        "--seconds", type=seconds, metavar="S", help="with --view or --save: end after so long"
    )


def show(options: argparse.Namespace) -> int:
    """Show or save what the cameras see, and return the exit code.

    Args:
        options: with those of :func:`add_view`; ``view`` or ``save`` is given.

    Raises:
        LinegateError: the settings, a camera, the page's port or the folder do not do.
    """
    from linegate_runtime.capture import Capture  # noqa: PLC0415
    from linegate_runtime.config_file import Overrides, load_config  # noqa: PLC0415

    config = load_config(options.config, Overrides.of(options))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with listen_to_signals() as asked, contextlib.ExitStack() as stack:
        captures = [
            stack.enter_context(Capture(camera.request, camera.name)) for camera in config.cameras
        ]
        end = None if options.seconds is None else time.monotonic() + options.seconds

        def is_over() -> bool:
            return asked.stop or (end is not None and time.monotonic() >= end)

        if options.save is None:
            _serve(options.view, config, captures, is_over)
        else:
            _save(options.save, options.pictures or _PICTURES, config, captures, is_over)
    return _say_who_was_silent(captures)


def _serve(
    listen: tuple[str, int],
    config: "RunConfig",
    captures: Sequence["Capture"],
    is_over: Callable[[], bool],
) -> None:
    from linegate_runtime.setup_view.draw import draw_jpeg  # noqa: PLC0415
    from linegate_runtime.setup_view.server import Pictures, ViewServer  # noqa: PLC0415
    from linegate_runtime.setup_view.watch import Watch  # noqa: PLC0415
    from linegate_runtime.status import living_status  # noqa: PLC0415

    pictures = Pictures(len(captures))
    with (
        contextlib.closing(Watch(config.cameras, captures)) as watch,
        ViewServer(*listen, pictures, lambda: watch.states) as server,
        living_status() as status,
    ):
        _LOG.info("the live view is at %s (Ctrl-C ends it)", server.address)
        for view in _views(watch, is_over):
            if view is not None and pictures.is_wanted(view.camera):
                pictures.put(view.camera, draw_jpeg(view.frame.pixels, view.regions))
            if status.is_due:
                status.show(_line(watch))


def _save(
    folder: Path,
    count: int,
    config: "RunConfig",
    captures: Sequence["Capture"],
    is_over: Callable[[], bool],
) -> None:
    from linegate_bundle.atomic import write_atomic  # noqa: PLC0415
    from linegate_runtime.recording import RecordingWriter  # noqa: PLC0415
    from linegate_runtime.setup_view.draw import draw_jpeg  # noqa: PLC0415
    from linegate_runtime.setup_view.watch import Watch  # noqa: PLC0415
    from linegate_runtime.status import living_status  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(contextlib.closing(RecordingWriter(folder / f"camera-{number}")))
            for number in range(1, len(captures) + 1)
        ]
        watch = stack.enter_context(contextlib.closing(Watch(config.cameras, captures)))
        status = stack.enter_context(living_status())
        saved = [0] * len(captures)
        for view in _views(watch, is_over):
            if view is not None and saved[view.camera] < count:
                saved[view.camera] += 1
                name = f"view-{view.camera + 1}-{saved[view.camera]:06}.jpg"
                writers[view.camera].append(view.frame.pixels, view.frame.taken_ns)
                write_atomic(folder / name, draw_jpeg(view.frame.pixels, view.regions))
            if status.is_due:
                status.show(_line(watch))
            if min(saved) >= count:
                break
    _LOG.info("%d pictures in %s", sum(saved), folder)


def _views(watch: "Watch", is_over: Callable[[], bool]) -> Iterator["View | None"]:
    from linegate_runtime.capture import CaptureEndedError  # noqa: PLC0415

    while not is_over():
        try:
            yield watch.next_view(_TICK_S)
        except CaptureEndedError as error:
            _LOG.info("%s", error)
            return


def _line(watch: "Watch") -> str:
    return " | ".join(
        " · ".join(
            part
            for part in (
                f"{state.name}: {state.frames_per_second:.1f} frames/s",
                f"parts {state.parts}",
                *state.states,
                f"unseen {state.unseen}" if state.unseen else "",
                f"restarts {state.restarts}" if state.restarts else "",
            )
            if part
        )
        for state in watch.states
    )


def _say_who_was_silent(captures: Sequence["Capture"]) -> int:
    from linegate_bundle.errors import CameraError  # noqa: PLC0415

    silent = [capture.name for capture in captures if not capture.has_delivered]
    if not silent:
        return 0
    sys.stderr.write(f"linegate: error: {', '.join(silent)}: the camera gave no frame\n")
    return CameraError.exit_code


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise argparse.ArgumentTypeError(f"expected HOST:PORT such as 127.0.0.1:8077, got {text}")
    return host.strip("[]"), int(port)
