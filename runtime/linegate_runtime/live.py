"""Opens everything that a live inspection needs, and closes it again in order."""

import contextlib
import dataclasses
import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from linegate_bundle.errors import CameraError
from linegate_runtime.capture import Capture
from linegate_runtime.config import RunConfig
from linegate_runtime.exchange import Exchange
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge
from linegate_runtime.judge_opener import JudgeOpener
from linegate_runtime.loop import Desk, Limits, Line, Station
from linegate_runtime.outputs import LineOutputs
from linegate_runtime.pictures import Pictures
from linegate_runtime.record_rescue import open_record
from linegate_runtime.recorder import Commit, Recorder
from linegate_runtime.rows import Uuids
from linegate_runtime.service_manager import ServiceManager
from linegate_runtime.status import living_status
from linegate_runtime.tally import Tally
from linegate_runtime.triggers import Trigger

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What one run is to do besides the configuration.

    Attributes:
        limits: when to stop.
        json_lines: write verdicts to the standard output too.
        allow_looser: let the configuration be looser than the bundle's policy.
        is_stopped: asked again and again; ends the run once it says yes.
        is_reload_asked: asked again and again; the bundle is opened anew when it says yes.
        manager: is told when the line is ready, and how it does.
    """

    limits: Limits = dataclasses.field(default_factory=Limits)
    json_lines: bool = False
    allow_looser: bool = False
    is_stopped: Callable[[], bool] = lambda: False
    is_reload_asked: Callable[[], bool] = lambda: False
    manager: ServiceManager = dataclasses.field(default_factory=ServiceManager)


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
    if wishes.json_lines:
        config = config.with_sink("jsonlines")
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(living_status(wishes.manager))
        opener = JudgeOpener(path, config, Uuids().next(), allow_looser=wishes.allow_looser)
        judge = opener.open()
        stack.callback(judge.model.close)
        callers: Callers = {}
        desk = _open_desk(stack, config, callers, wishes)
        stations = list(_stations(stack, judge, config, captures))
        callers.update(_callers(stations))
        exchange = Exchange(opener.open_beside, wishes.is_reload_asked)
        stack.callback(exchange.close)
        _greet(judge, config, captures)
        line = Line(
            stations=stations,
            judge=judge,
            exchange=exchange,
            desk=desk,
            status=status,
            manager=wishes.manager,
            is_stopped=wishes.is_stopped,
        )
        stack.callback(line.close)
        # What is there now stays; the collector need not look at it again and again.
        gc.freeze()
        wishes.manager.ready()
        try:
            tally = line.run(wishes.limits)
        finally:
            wishes.manager.stopping()
        for capture in captures:
            capture.close()
    _report(tally, captures, is_stopped=wishes.is_stopped())
    return tally


def _report(tally: Tally, captures: Sequence[Capture], *, is_stopped: bool) -> None:
    """Say how the run was; CameraError if a camera gave nothing in all its time."""
    _LOG.info(
        "%s; camera restarts: %d",
        tally.summary(),
        sum(capture.counts.restarts for capture in captures),
    )
    silent = [capture.name for capture in captures if not capture.has_delivered]
    if silent and not is_stopped:
        raise CameraError(f"{', '.join(silent)}: the camera gave no frame during the whole run")


def _stations(
    stack: contextlib.ExitStack, judge: Judge, config: RunConfig, captures: Sequence[Capture]
) -> Iterator[Station]:
    """Open the triggers of each camera; the stack closes them."""
    vote_frames = judge.policy.decision.vote.frames
    for camera, capture in zip(config.cameras, captures, strict=True):
        regions = [
            Region(
                region.name,
                stack.enter_context(contextlib.closing(region.open_trigger(vote_frames))),
            )
            for region in camera.regions
        ]
        inspector = Inspector(
            judge,
            regions,
            class_maps=config.class_maps,
            pictures=config.pictures is not None,
            clock=time.monotonic_ns,
        )
        yield Station(capture, inspector)


Callers = dict[tuple[str, str], Trigger[Any]]
"""Triggers that want to hear of their parts' verdicts, by camera and region."""


def _callers(stations: Sequence[Station]) -> Callers:
    return {
        (station.capture.name, region.name): region.trigger
        for station in stations
        for region in station.inspector.regions
        if region.trigger.wants_verdicts
    }


def _open_desk(
    stack: contextlib.ExitStack, config: RunConfig, callers: Callers, wishes: Wishes
) -> Desk:
    """Open the record and all outputs; the stack closes them, the record last."""
    outputs = LineOutputs(config)
    on_error = stack.enter_context(contextlib.ExitStack())
    on_error.callback(outputs.close)
    tally = Tally()

    def note_commit(commit: Commit) -> None:
        for part in commit.parts:
            tally.count(part.row, commit.monotonic_ns)
            caller = callers.get((part.row.camera, part.row.region))
            if caller is not None:
                caller.told([part])
        outputs.note_commit(commit)

    record, alarm = open_record(config.record)
    recorder = Recorder(
        record, outputs.remembered, config.keeping, on_commit=note_commit, alarm=alarm
    )
    on_error.pop_all()
    stack.callback(recorder.close)
    stack.callback(outputs.close)
    outputs.open(config.record, recorder, wishes.is_stopped)
    pictures = None
    if config.pictures is not None:
        kept = config.pictures
        pictures = Pictures(kept.folder, kept.most_bytes, kept.accepted_share)
        stack.callback(pictures.close)
    # Outputs hear of the last parts before they are closed.
    stack.callback(recorder.flush)
    return Desk(recorder=recorder, outputs=outputs, pictures=pictures, tally=tally)


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
