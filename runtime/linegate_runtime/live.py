"""Opens everything that a live inspection needs, and closes it again in order."""

import contextlib
import dataclasses
import functools
import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import CameraError, ConfigError
from linegate_runtime.capture import Capture
from linegate_runtime.config import CameraConfig, Plugin, RunConfig
from linegate_runtime.engine_names import AUTO_ENGINE, DEFAULT_ENGINE
from linegate_runtime.exchange import Exchange, Judge
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.loop import Limits, Line, Station
from linegate_runtime.model import Model
from linegate_runtime.policy import line_policy
from linegate_runtime.probe import probe
from linegate_runtime.record import Record
from linegate_runtime.rows import Stamp, Uuids
from linegate_runtime.sinks import SINKS, Sink
from linegate_runtime.status import living_status
from linegate_runtime.tally import Tally
from linegate_runtime.toml_file import Table, TomlFile
from linegate_runtime.triggers import TRIGGERS

_LOG = logging.getLogger(__name__)

_AUTO_S = 3.0
"""So long a line's start may take longer for timing engines, once for each bundle."""


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What one run is to do besides the configuration.

    Attributes:
        limits: when to stop.
        json_lines: write verdicts to the standard output too.
        allow_looser: let the configuration be looser than the bundle's policy.
        is_stopped: asked again and again; ends the run once it says yes.
        is_reload_asked: asked again and again; the bundle is opened anew when it says yes.
    """

    limits: Limits = dataclasses.field(default_factory=Limits)
    json_lines: bool = False
    allow_looser: bool = False
    is_stopped: Callable[[], bool] = lambda: False
    is_reload_asked: Callable[[], bool] = lambda: False


def inspect_live(
    path: Path, config: RunConfig, captures: Sequence[Capture], wishes: Wishes
) -> Tally:
    """Inspect cameras until a limit, the end of all sources or a signal.

    Args:
        path: the bundle.
        config: everything else.
        captures: a started capture of each of ``config.cameras``.
        wishes: of this run.

    Raises:
        LinegateError: by whose fault it is.
    """
    # One picture at a time on a small board: OpenCV's own threads cost more than they give.
    cv2.setNumThreads(1)
    config.check_plugins()
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(living_status())
        run = Uuids().next()
        open_judge = functools.partial(
            _open_judge, path, config, run, allow_looser=wishes.allow_looser
        )
        judge = open_judge(may_measure=True)
        stack.callback(judge.model.close)
        record = stack.enter_context(Record(config.record))
        sinks = [stack.enter_context(contextlib.closing(sink)) for sink in _sinks(config, wishes)]
        stations = [
            Station(capture, _inspector(stack, judge, camera, class_maps=config.class_maps))
            for camera, capture in zip(config.cameras, captures, strict=True)
        ]
        exchange = Exchange(lambda: open_judge(may_measure=False), wishes.is_reload_asked)
        stack.callback(exchange.close)
        _greet(judge, config, captures)
        line = Line(
            stations=stations,
            judge=judge,
            exchange=exchange,
            record=record,
            sinks=sinks,
            status=status,
            is_stopped=wishes.is_stopped,
        )
        stack.callback(line.close)
        # What is there now stays; the collector need not look at it again and again.
        gc.freeze()
        tally = line.run(wishes.limits)
        for capture in captures:
            capture.close()
    _LOG.info(
        "%s; camera restarts: %d",
        tally.summary(),
        sum(capture.counts.restarts for capture in captures),
    )
    silent = [capture.name for capture in captures if not capture.has_delivered]
    if silent and not wishes.is_stopped():
        raise CameraError(f"{', '.join(silent)}: the camera gave no frame during the whole run")
    return tally


def _open_judge(
    path: Path, config: RunConfig, run: str, *, allow_looser: bool, may_measure: bool
) -> Judge:
    with Bundle.open(path, linegate_runtime.__version__) as bundle:
        policy = line_policy(bundle.manifest.policy, config.verdict, allow_looser=allow_looser)
        stamp = Stamp.of(run, bundle, policy.origin)
        return Judge(_open_model(bundle, config, may_measure=may_measure), policy, stamp)


def _open_model(bundle: Bundle, config: RunConfig, *, may_measure: bool) -> Model:
    engine, threads = _choose_engine(bundle, config, may_measure=may_measure)
    probe(bundle, engine, threads)
    regions = max(len(camera.regions) for camera in config.cameras)
    model = Model.open(bundle, engine, threads, batch=regions)
    if config.class_maps and not model.has_class_map:
        model.close()
        raise ConfigError(
            f"[record] class_maps: expected a model with a class map, {bundle.path} has none; "
            "leave it out, or export the model anew"
        )
    return model


def _choose_engine(bundle: Bundle, config: RunConfig, *, may_measure: bool) -> tuple[str, int]:
    """Return the engine and threads as configured, or as they were measured to be best.

    While a line runs nothing can be measured beside it; then it is the default.
    """
    engine = config.engine
    if engine.name != AUTO_ENGINE:
        return engine.name, engine.threads or 1
    from linegate_runtime.bench import (  # noqa: PLC0415 - most lines know their engine
        BenchOptions,
        measure,
        recall_proposal,
        remember_proposal,
    )

    proposal = recall_proposal(bundle)
    if proposal is None and not may_measure:
        return DEFAULT_ENGINE, engine.threads or 1
    if proposal is None:
        _LOG.info("no measurement of this bundle on this machine; timing engines and threads")
        measured = measure(bundle, BenchOptions(seconds=_AUTO_S, sustained_s=0))
        remember_proposal(measured)
        proposal = measured.proposal.engine, measured.proposal.threads
    name, threads = proposal
    return name, engine.threads or threads


def _inspector(
    stack: contextlib.ExitStack, judge: Judge, camera: CameraConfig, *, class_maps: bool
) -> Inspector:
    regions = []
    for region in camera.regions:
        family = TRIGGERS.load(region.trigger.kind)
        trigger = family(region.trigger.read_options(family.Options), region.box)
        regions.append(Region(region.name, stack.enter_context(contextlib.closing(trigger))))
    return Inspector(
        judge.model, regions, judge.policy, class_maps=class_maps, clock=time.monotonic_ns
    )


def _sinks(config: RunConfig, wishes: Wishes) -> Iterator[Sink[Any]]:
    plugins = list(config.sinks)
    if wishes.json_lines and all(plugin.kind != "jsonlines" for plugin in plugins):
        plugins.append(Plugin("jsonlines", Table({}, TomlFile.read(None), ("sink", 0))))
    for plugin in plugins:
        family = SINKS.load(plugin.kind)
        yield family(plugin.read_options(family.Options))


def _greet(judge: Judge, config: RunConfig, captures: Sequence[Capture]) -> None:
    _LOG.info(
        "camera %s, bundle %s %s, engine %s %s, policy %s, record %s",
        ", ".join(capture.name for capture in captures),
        judge.stamp.bundle_name,
        judge.stamp.bundle_version,
        judge.model.engine.name,
        judge.model.engine.version,
        judge.stamp.policy,
        config.record,
    )
