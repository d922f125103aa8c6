"""Opens everything that a live inspection needs, and closes it again in order."""

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import CameraError, ConfigError
from linegate_bundle.manifest import CLASS_MAP
from linegate_runtime.capture import Capture
from linegate_runtime.config import Plugin, RunConfig
from linegate_runtime.inspector import Inspector
from linegate_runtime.loop import Limits, Line, Tally
from linegate_runtime.model import Model
from linegate_runtime.record import Record
from linegate_runtime.sinks import SINKS, Sink
from linegate_runtime.status import ClearFirst, Status
from linegate_runtime.triggers import TRIGGERS, Trigger

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What one run is to do besides the configuration.

    Attributes:
        limits: when to stop.
        json_lines: write verdicts to the standard output too.
        is_stopped: asked again and again; ends the run once it says yes.
    """

    limits: Limits = dataclasses.field(default_factory=Limits)
    json_lines: bool = False
    is_stopped: Callable[[], bool] = lambda: False


def inspect_live(path: Path, config: RunConfig, capture: Capture, wishes: Wishes) -> Tally:
    """Inspect a camera until a limit, the end of the source or a signal.

    Args:
        path: the bundle.
        config: everything else.
        capture: a started capture of ``config.camera``.
        wishes: of this run.

    Raises:
        LinegateError: by whose fault it is.
    """
    # One picture at a time on a small board: OpenCV's own threads cost more than they give.
    cv2.setNumThreads(1)
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(_status())
        bundle = stack.enter_context(Bundle.open(path, linegate_runtime.__version__))
        trigger = _trigger(config)
        engine = config.engine
        model = stack.enter_context(Model.open(bundle, engine.name, engine.threads))
        if config.class_maps and CLASS_MAP not in {tensor.name for tensor in model.entry.outputs}:
            raise ConfigError(
                f"[record] class_maps: expected a model with a class map, {path} has none; leave "
                "it out, or export the model anew"
            )
        record = stack.enter_context(Record(config.record))
        sinks = [stack.enter_context(contextlib.closing(sink)) for sink in _sinks(config, wishes)]
        _LOG.info(
            "camera %s, bundle %s %s, engine %s %s, record %s",
            capture.name,
            bundle.manifest.name,
            bundle.manifest.version,
            model.engine.name,
            model.engine.version,
            config.record,
        )
        line = Line(
            capture=capture,
            inspector=Inspector(model, trigger, class_maps=config.class_maps),
            bundle=bundle,
            record=record,
            sinks=sinks,
            status=status,
        )
        tally = line.run(wishes.limits, wishes.is_stopped)
        capture.close()
    _LOG.info("%s; camera restarts: %d", tally.summary(), capture.counts.restarts)
    if not capture.has_delivered and not wishes.is_stopped():
        raise CameraError(f"{capture.name}: the camera gave no frame during the whole run")
    return tally


def _trigger(config: RunConfig) -> Trigger[Any]:
    family = TRIGGERS.load(config.trigger.kind)
    return family(config.trigger.read_options(family.Options), config.region)


def _sinks(config: RunConfig, wishes: Wishes) -> Iterator[Sink[Any]]:
    plugins = list(config.sinks)
    if wishes.json_lines and all(plugin.kind != "jsonlines" for plugin in plugins):
        plugins.append(Plugin("jsonlines", {}, "--json", Path()))
    for plugin in plugins:
        family = SINKS.load(plugin.kind)
        yield family(plugin.read_options(family.Options))


@contextlib.contextmanager
def _status() -> Iterator[Status]:
    status = Status(sys.stderr)
    clear_first = ClearFirst(status)
    root = logging.getLogger()
    root.handlers.insert(0, clear_first)
    try:
        yield status
    finally:
        status.clear()
        root.removeHandler(clear_first)
