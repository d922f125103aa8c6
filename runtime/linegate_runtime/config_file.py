"""The configuration of ``linegate run``: a TOML file, and options that override it.

runtime/README.md shows a file with everything. In short::

    bundle = "cells.linegate"    # or as an argument of the command; paths are relative to this file

    [camera]                     # or [[camera]], each with a name, for several
    address = "http://192.168.1.20/stream.mjpg"

    [region]                     # or [[region]]; of a camera its own: [camera.region]
    x = 0
    y = 60
    width = 640
    height = 360

    [trigger]                    # of a camera its own: [camera.trigger], of a region likewise
    kind = "presence"
    empty = "empty.png"

Nothing here needs numpy or OpenCV, so that the cameras can be opened at once.
"""

import argparse
import dataclasses
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from linegate_runtime import host_port
from linegate_runtime.capture_protocol import Checks, Request
from linegate_runtime.config import (
    DEFAULT_RECORD,
    CameraConfig,
    CameraTable,
    EngineTable,
    MetricsTable,
    Plugin,
    RecordTable,
    RegionConfig,
    RegionTable,
    RootTable,
    RunConfig,
    plugin_problems,
    source_problems,
)
from linegate_runtime.engine_names import AUTO_ENGINE, DEFAULT_ENGINE
from linegate_runtime.geometry import Box, Size
from linegate_runtime.policy import VerdictOptions
from linegate_runtime.registry import Registry
from linegate_runtime.sinks import SINKS
from linegate_runtime.sources import SOURCES, SourceOptions, source_for
from linegate_runtime.toml_file import Table, TomlFile, refuse
from linegate_runtime.triggers import TRIGGERS

_NO_ADDRESS = (
    "expected an address; give it here or with --camera, such as "
    "http://192.168.1.20/stream.mjpg, rtsp://..., 0 for the first USB camera, csi:0 for the first "
    "at a Raspberry Pi's connector, a video file or a folder of images"
)

_TABLES = ("camera", "region", "trigger", "engine", "verdict", "record", "metrics", "sink")


@dataclasses.dataclass(frozen=True)
class Overrides:
    """Options of the command line, None where not given; paths are as the user wrote them."""

    camera: str | None = None
    source: str | None = None
    region: Box | None = None
    bundle: Path | None = None
    trigger: str | None = None
    empty: Path | None = None
    part_size: Size | None = None
    engine: str | None = None
    threads: int | None = None
    record: Path | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Take the options that a command has, by their names; the others are not given."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: getattr(options, name, None) for name in names})


def load_config(path: Path | None, overrides: Overrides) -> RunConfig:
    """Read the file, if there is one, and put the command line's options over it.

    Raises:
        ConfigError: the file cannot be read, or keys are unknown, missing or wrong; all of
            them at once.
    """
    return _Reader(TomlFile.read(path), overrides).read()


class _Reader:
    """Collects what is wrong while it reads, so that all of it can be said."""

    def __init__(self, file: TomlFile, overrides: Overrides) -> None:
        self._problems: list[str] = []
        self._plugins: list[tuple[Registry[Any], Plugin]] = []
        self._overrides = overrides
        self._root = _with_overrides(Table(file.document, file, ()), overrides, self._problems)

    def read(self) -> RunConfig:
        root, problems = self._root, self._problems
        heads = set(RootTable.__struct_fields__)
        problems += [
            root.problem(key, f"unknown; valid are: {', '.join([*sorted(heads), *_TABLES])}")
            for key in root.values
            if key not in {*heads, *_TABLES}
        ]
        head = root.without(*(root.values.keys() - heads)).read(RootTable, problems)
        cameras = self._cameras()
        engine = root.child("engine", problems).read(EngineTable, problems)
        verdict = root.child("verdict", problems).read(VerdictOptions, problems)
        record = root.child("record", problems).read(RecordTable, problems)
        metrics = root.child("metrics", problems).read(MetricsTable, problems)
        if metrics is not None and metrics.listen is not None and metrics.address is None:
            text = str(host_port.problem(metrics.listen))
            problems.append(root.child("metrics", problems).problem("listen", text))
        sinks = [self._plugin(table, None, SINKS) for table in root.children("sink", problems)]
        problems += _check_engine(root, engine)
        if (
            problems
            or head is None
            or engine is None
            or verdict is None
            or record is None
            or metrics is None
        ):
            # What else is wrong is said now too, though it takes loading the plug-ins.
            problems += plugin_problems(self._plugins)
            problems += source_problems([camera for camera in cameras if camera is not None])
            refuse(list(dict.fromkeys(problems)))
            raise TypeError("a table that cannot be read has problems")
        return RunConfig(
            bundle=head.bundle,
            cameras=tuple(camera for camera in cameras if camera is not None),
            engine=engine,
            verdict=verdict,
            record=record.path or root.file.folder / DEFAULT_RECORD,
            class_maps=record.class_maps,
            keeping=record.keeping,
            pictures=record.kept_pictures,
            metrics=metrics.address,
            sinks=tuple(sink for sink in sinks if sink is not None),
        )

    def _cameras(self) -> list[CameraConfig | None]:
        tables = self._root.children("camera", self._problems)
        if not tables and self._root.values.get("camera", []) == []:
            tables = [Table({}, self._root.file, ("camera",))]
        self._problems += _overlooked(self._root, tables, self._overrides)
        names = [table.values.get("name") for table in tables]
        if len(tables) > 1 and not _are_different(names):
            self._problems.append(
                self._root.problem(
                    "camera", "expected a name for each of several cameras, all different"
                )
            )
        return [self._camera(table) for table in tables]

    def _camera(self, table: Table) -> CameraConfig | None:
        if "address" not in table.values:
            self._problems.append(table.problem("address", _NO_ADDRESS))
            table = dataclasses.replace(table, values={**table.values, "address": "0"})
        read = table.without("region", "trigger").read(CameraTable, self._problems)
        regions = self._regions(table, None if read is None else _size_seen(read))
        if read is None:
            return None
        source = read.source or source_for(read.address)
        if not SOURCES.knows(source):
            valid = ", ".join(SOURCES.names())
            text = f"unknown source {source!r}; valid are: {valid}"
            self._problems.append(table.problem("source", text))
        self._problems += _check_address(read.address, table)
        options = SourceOptions(
            **{name: getattr(read, name) for name in SourceOptions.__struct_fields__}
        )
        checks = Checks(frozen_after_s=read.frozen_after_s, black_below=read.black_below)
        return CameraConfig(
            name=read.name,
            request=Request(source=source, options=options, checks=checks),
            regions=tuple(regions),
            table=table,
        )

    def _regions(self, own: Table, frame: Size | None) -> list[RegionConfig]:
        """Return a camera's regions, or those for all; likewise with the triggers they have not."""
        camera = own if "trigger" in own.values else self._root
        where = own if "region" in own.values else self._root
        if "region" not in where.values:
            trigger = self._trigger(camera)
            return [] if trigger is None else [RegionConfig("", None, trigger)]
        regions = []
        tables = where.children("region", self._problems)
        if where.values["region"] == []:
            self._problems.append(where.problem("region", "expected at least one, got none"))
        for table in tables:
            box = table.without("trigger").read(RegionTable, self._problems)
            trigger = self._trigger(table if "trigger" in table.values else camera)
            if box is not None and trigger is not None:
                plain = Box(x=box.x, y=box.y, width=box.width, height=box.height)
                if frame and (plain.right > frame.width or plain.bottom > frame.height):
                    text = f"expected a region inside the camera's {frame}, got {plain}"
                    self._problems.append(table.problem(None, text))
                regions.append(RegionConfig(box.name or "", plain, trigger))
        if len(tables) > 1 and not _are_different([table.values.get("name") for table in tables]):
            text = "expected a name for each of several regions, all different"
            self._problems.append(where.problem("region", text))
        return regions

    def _trigger(self, where: Table) -> Plugin | None:
        return self._plugin(where.child("trigger", self._problems), "presence", TRIGGERS)

    def _plugin(self, table: Table, default: str | None, family: Registry[Any]) -> Plugin | None:
        kind = table.values.get("kind", default)
        if not isinstance(kind, str):
            self._problems.append(table.problem("kind", 'expected kind = "NAME"'))
            return None
        if not family.knows(kind):
            valid = ", ".join(family.names())
            text = f"unknown {family.family} {kind!r}; valid are: {valid}"
            self._problems.append(table.problem("kind", text))
            return None
        plugin = Plugin(kind=kind, table=table.without("kind"))
        self._plugins.append((family, plugin))
        return plugin


def _size_seen(camera: CameraTable) -> Size | None:
    """Return the size of the frames after rotation, as far as it is configured."""
    size = camera.size
    if size is None or camera.rotation % 180 == 0:
        return size
    return Size(size.height, size.width)


def _overlooked(root: Table, cameras: Sequence[Table], overrides: Overrides) -> list[str]:
    """Return what was said for all cameras and is used by none of them."""
    problems = []
    asked = {
        "region": overrides.region is not None,
        "trigger": any((overrides.trigger, overrides.empty, overrides.part_size)),
    }
    for name, is_asked in asked.items():
        has_own = [name in table.values for table in cameras]
        if cameras and is_asked and any(has_own):
            text = "the command line's option means all cameras, some have one of their own"
            problems.append(root.problem(name, text))
        elif cameras and name in root.values and all(has_own):
            text = "is used by no camera, each has one of its own; leave it out"
            problems.append(root.problem(name, text))
    return problems


def _are_different(names: Sequence[object]) -> bool:
    return None not in names and len(set(map(str, names))) == len(names)


def _with_overrides(root: Table, overrides: Overrides, problems: list[str]) -> Table:
    """Put the command line's options over the tables of the file."""
    values = dict(root.values)
    if overrides.bundle is not None:
        values["bundle"] = str(overrides.bundle.absolute())
    tables = _tables(overrides, root)
    for name, options in tables.items():
        table = values.get(name, {})
        if not options:
            continue
        if isinstance(table, list):
            problems.append(
                root.problem(name, f"the command line's options mean one, the file has [[{name}]]")
            )
        elif isinstance(table, dict):
            values[name] = {**table, **options}
    return dataclasses.replace(root, values=values)


def _tables(overrides: Overrides, root: Table) -> dict[str, dict[str, object]]:
    """Return the command line's options as the tables of a file."""
    region = overrides.region
    given = root.values.get("trigger", {})
    kind = given.get("kind", "presence") if isinstance(given, dict) else "presence"
    tables: dict[str, dict[str, object | None]] = {
        "camera": {"address": overrides.camera, "source": overrides.source},
        "region": {} if region is None else msgspec.structs.asdict(region),
        "trigger": {
            "kind": overrides.trigger,
            "empty": None if overrides.empty is None else str(overrides.empty.absolute()),
            "part_size": (
                None
                if overrides.part_size is None
                else [overrides.part_size.width, overrides.part_size.height]
            ),
        },
        "engine": {"name": overrides.engine, "threads": overrides.threads},
        "record": {"path": None if overrides.record is None else str(overrides.record.absolute())},
    }
    if overrides.trigger not in (None, kind) and isinstance(given, dict):
        # Options of one trigger mean nothing to another.
        given.clear()
    return {
        name: {key: value for key, value in table.items() if value is not None}
        for name, table in tables.items()
    }


def _check_address(address: str, table: Table) -> list[str]:
    """Refuse what no source can mean; the address is not repeated, it may hold a password."""
    try:
        parts = urllib.parse.urlsplit(address)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        # Its text would repeat a part of the address.
        text = (
            "expected SCHEME://USER:PASSWORD@HOST:PORT/PATH, it cannot be read so; in a password "
            "write / ? # @ : as %2F %3F %23 %40 %3A"
        )
        return [table.problem("address", text)]
    if not address or not has_port:
        expected = (
            "expected one such as http://192.168.1.20/stream.mjpg, got an empty one or port 0"
        )
        return [table.problem("address", expected)]
    return []


def _check_engine(root: Table, engine: EngineTable | None) -> list[str]:
    # Imported here: the registry of engines needs numpy, and is rarely asked.
    if engine is None or engine.name in (DEFAULT_ENGINE, AUTO_ENGINE):
        return []
    from linegate_runtime.backends import BACKENDS  # noqa: PLC0415

    if BACKENDS.knows(engine.name):
        return []
    valid = ", ".join([AUTO_ENGINE, *BACKENDS.names()])
    table = Table({}, root.file, ("engine",))
    return [table.problem("name", f"unknown engine {engine.name!r}; valid are: {valid}")]
