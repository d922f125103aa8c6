"""The configuration of ``linegate run`` as types; :mod:`linegate_runtime.config_file` reads it.

Nothing here needs numpy or OpenCV, so that the cameras can be opened at once.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from linegate_runtime import host_port
from linegate_runtime.capture_protocol import BLACK_BELOW, FROZEN_AFTER_S, Request
from linegate_runtime.engine_names import DEFAULT_ENGINE
from linegate_runtime.geometry import Box
from linegate_runtime.host_port import HostPort
from linegate_runtime.keeping import Keeping
from linegate_runtime.policy import VerdictOptions
from linegate_runtime.registry import Registry
from linegate_runtime.sinks import SINKS, SinkOptions
from linegate_runtime.sources import SOURCES, SourceOptions, refused_settings
from linegate_runtime.toml_file import Table, TomlFile, refuse
from linegate_runtime.triggers import TRIGGERS, Trigger, TriggerOptions

DEFAULT_RECORD = "linegate.sqlite"

T = TypeVar("T", bound=msgspec.Struct)

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class RootTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands at the head of the file, before any table.

    Attributes:
        bundle: what judges; None if the command line says so, or nothing is judged.
    """

    bundle: Path | None = None


class CameraTable(SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[camera]``: what its source is to open, how it is checked, and its name.

    Attributes:
        name: what it is called in messages and records; None takes the address.
        source: name of a source; None takes the one that the address is meant for.
        frozen_after_s: see :class:`~linegate_runtime.capture_protocol.Checks`.
        black_below: the same.
    """

    name: Name | None = None
    source: str | None = None
    frozen_after_s: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = FROZEN_AFTER_S
    black_below: Annotated[int, msgspec.Meta(ge=0, le=255)] = BLACK_BELOW


class RegionTable(Box, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[region]``: a box in pixels of the frame, and its name.

    Attributes:
        name: tells it from the camera's other regions.
    """

    name: Name | None = None


class EngineTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[engine]``.

    Attributes:
        name: name of a registered backend, or ``auto``.
        threads: threads that one inference may use; None is 1, or what was measured.
    """

    name: str = DEFAULT_ENGINE
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None


class RecordTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[record]``.

    Attributes:
        path: the SQLite file; None is :data:`DEFAULT_RECORD` beside the configuration.
        class_maps: whether rows of rejected and unsure parts keep the model's class map.
        commit_within_s: parts wait at most so long for others to share their write to disk; what
            waits for a part's being on record waits as long. 0 writes each at once.
        keep_days: rows that are older are removed; None keeps them.
        max_mb: the oldest rows are removed when there are more; None for no limit.
        pictures: folder for pictures of parts; None keeps none.
        pictures_mb: the oldest pictures are removed when they are more.
        accepted_share: of the accepted parts so many are kept as pictures, chosen at random; of
            the others every one.
    """

    path: Path | None = None
    class_maps: bool = False
    commit_within_s: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    keep_days: Annotated[float, msgspec.Meta(gt=0.0, le=36_500.0)] | None = None
    max_mb: Annotated[float, msgspec.Meta(ge=1.0)] | None = 2000.0
    pictures: Path | None = None
    pictures_mb: Annotated[float, msgspec.Meta(ge=1.0)] = 1000.0
    accepted_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.01

    @property
    def keeping(self) -> Keeping:
        """How rows are written and kept."""
        most_bytes = None if self.max_mb is None else round(1e6 * self.max_mb)
        return Keeping(self.commit_within_s, self.keep_days, most_bytes)

    @property
    def kept_pictures(self) -> "PicturesConfig | None":
        """Which pictures are kept; None if none are."""
        if self.pictures is None:
            return None
        return PicturesConfig(self.pictures, round(1e6 * self.pictures_mb), self.accepted_share)


@dataclasses.dataclass(frozen=True)
class PicturesConfig:
    """Which pictures are kept, see :class:`~linegate_runtime.pictures.Pictures`."""

    folder: Path
    most_bytes: int
    accepted_share: float


class MetricsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[metrics]``.

    Attributes:
        listen: ``HOST:PORT`` where /metrics and /healthz are served; None nowhere. Whatever
            serves beyond this machine shows them to the whole network.
    """

    listen: str | None = None

    @property
    def address(self) -> HostPort | None:
        """Where they are served."""
        return None if self.listen is None else host_port.parse(self.listen)


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A plug-in as configured; its options are checked when its class is known.

    Attributes:
        kind: its name in the registry.
        table: its options.
    """

    kind: str
    table: Table

    def read_options(self, options: type[T]) -> T:
        """Check the options against their type; raise :class:`ConfigError` if they do not fit."""
        problems: list[str] = []
        read = self.table.read(options, problems)
        refuse(problems)
        if read is None:
            raise TypeError("a table that cannot be read has problems")
        return read


@dataclasses.dataclass(frozen=True)
class RegionConfig:
    """A region of a camera's frames.

    Attributes:
        name: empty if the camera has no other.
        box: None for the whole frame.
        trigger: watches it.
    """

    name: str
    box: Box | None
    trigger: Plugin

    def trigger_options(self, vote_frames: int | None = None) -> TriggerOptions:
        """Return the trigger's options; ConfigError if they do not fit.

        Args:
            vote_frames: so many frames a part as the policy votes over, where they are open;
                None leaves them so.
        """
        family = TRIGGERS.load(self.trigger.kind)
        options = self.trigger.read_options(family.Options)
        return options if vote_frames is None else options.for_vote(vote_frames)

    def open_trigger(self, vote_frames: int | None = None) -> Trigger[Any]:
        """Open the trigger; ConfigError if it cannot work so. See :meth:`trigger_options`."""
        return TRIGGERS.load(self.trigger.kind)(self.trigger_options(vote_frames), self.box)


@dataclasses.dataclass(frozen=True)
class CameraConfig:
    """One camera.

    Attributes:
        name: None takes the address.
        request: what its process is to do.
        regions: at least one.
        table: where it stands, for complaints.
    """

    name: str | None
    request: Request
    regions: tuple[RegionConfig, ...]
    table: Table


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that ``linegate run`` needs to know.

    The bundle may be None: not every command needs one.
    """

    bundle: Path | None
    cameras: tuple[CameraConfig, ...]
    engine: EngineTable
    verdict: VerdictOptions
    record: Path
    class_maps: bool
    keeping: Keeping
    pictures: PicturesConfig | None
    metrics: HostPort | None
    sinks: tuple[Plugin, ...]

    def with_sink(self, kind: str) -> "RunConfig":
        """Return the same with a sink of a kind, without options, unless there is one."""
        if any(sink.kind == kind for sink in self.sinks):
            return self
        plugin = Plugin(kind, Table({}, TomlFile.read(None), ("sink", len(self.sinks))))
        return dataclasses.replace(self, sinks=(*self.sinks, plugin))

    @property
    def plugins(self) -> tuple[tuple[Registry[Any], Plugin], ...]:
        """All plug-ins whose options are still to be checked, with their families."""
        triggers = [region.trigger for camera in self.cameras for region in camera.regions]
        return (
            *((TRIGGERS, trigger) for trigger in triggers),
            *((SINKS, sink) for sink in self.sinks),
        )

    def most_frames(self, vote_frames: int | None = None) -> int | None:
        """Return the fewest frames that any trigger shows a part in; None without limits.

        Args:
            vote_frames: see :meth:`RegionConfig.trigger_options`.
        """
        regions = [region for camera in self.cameras for region in camera.regions]
        limits = [region.trigger_options(vote_frames).most_frames for region in regions]
        return min((limit for limit in limits if limit is not None), default=None)

    def check_folders(self, vote_frames: int) -> None:
        """Refuse to take pictures of a folder for frames of one part unless that is said.

        Args:
            vote_frames: more than one.

        Raises:
            ConfigError: names the trigger.
        """
        problems = [
            region.trigger.table.problem(
                "frames",
                f"expected how many pictures in a row show a part; those of a folder may be of "
                f"different ones, and the policy votes over {vote_frames}. `linegate classify` "
                "judges them one by one",
            )
            for camera in self.cameras
            for region in camera.regions
            if camera.request.source == "folder"
            and region.trigger_options().most_frames is None
            and region.trigger.kind == "continuous"
        ]
        refuse(list(dict.fromkeys(problems)))

    def check_plugins(self) -> None:
        """Check the options of all plug-ins; raise :class:`ConfigError` that names all mistakes."""
        refuse([*plugin_problems(self.plugins), *source_problems(self.cameras)])


def plugin_problems(plugins: Sequence[tuple[Registry[Any], Plugin]]) -> list[str]:
    """Return what is wrong with the options of plug-ins, as sentences."""
    problems: list[str] = []
    names: list[str] = []
    for family, plugin in plugins:
        options = plugin.table.read(family.load(plugin.kind).Options, problems)
        if isinstance(options, SinkOptions):
            found = options.problems().items()
            problems += [plugin.table.problem(key, text) for key, text in found]
            name = options.name or plugin.kind
            if name in names:
                text = f"expected a name of its own for each sink, {name!r} is taken"
                problems.append(plugin.table.problem("name", text))
            names.append(name)
    # A trigger that several regions share is read for each of them.
    return list(dict.fromkeys(problems))


def source_problems(cameras: Sequence[CameraConfig]) -> list[str]:
    """Return which settings the cameras' sources cannot set, as sentences."""
    problems: list[str] = []
    for camera in cameras:
        name, options = camera.request.source, camera.request.options
        refused = refused_settings(SOURCES.load(name), options) if SOURCES.knows(name) else {}
        problems += [camera.table.problem(key, text) for key, text in refused.items()]
    return problems
