"""The configuration of ``linegate run``: a TOML file, and options that override it.

::

    [camera]
    address = "http://192.168.1.20/stream.mjpg"
    size = [640, 480]            # optional: refuse frames of another size
    read_timeout_s = 2.0

    [region]                     # optional: the whole frame
    x = 0
    y = 60
    width = 640
    height = 360

    [trigger]
    kind = "presence"
    empty = "empty.png"          # relative to this file
    part_size = [300, 300]

    [engine]
    name = "tflite"
    threads = 1

    [record]
    path = "linegate.sqlite"     # relative to this file
    class_maps = true            # optional: keep where the model saw it, with all but accepted

    [[sink]]
    kind = "jsonlines"

Nothing here needs numpy or OpenCV, so that the camera can be opened at once.
"""

import dataclasses
import tomllib
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.capture_protocol import Request
from linegate_runtime.geometry import Box, Size
from linegate_runtime.sources import SourceOptions, source_for
from linegate_runtime.sources.base import FramesPerSecond, Seconds

DEFAULT_RECORD = "linegate.sqlite"

T = TypeVar("T", bound=msgspec.Struct)
Table = Mapping[str, object]


class CameraTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[camera]``; see :class:`~linegate_runtime.sources.base.SourceOptions`.

    Attributes:
        source: name of a source; None takes the one that the address is meant for.
    """

    address: str
    source: str | None = None
    size: Size | None = None
    fps: FramesPerSecond | None = None
    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 2.0


class EngineTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[engine]``.

    Attributes:
        name: name of a registered backend.
        threads: threads that one inference may use.
    """

    name: str = "tflite"
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1


class RecordTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[record]``.

    Attributes:
        path: the SQLite file; None is :data:`DEFAULT_RECORD` beside the configuration.
        class_maps: whether rows of rejected and unsure parts keep the model's class map.
    """

    path: Path | None = None
    class_maps: bool = False


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A plug-in as configured; its options are checked when its class is known.

    Attributes:
        kind: its name in the registry.
        options: the other keys of its table.
        where: what to call the table in messages.
        folder: what paths in it are relative to.
    """

    kind: str
    options: Table
    where: str
    folder: Path

    def read_options(self, options: type[T]) -> T:
        """Check the options against their type; raise :class:`ConfigError` if they do not fit."""
        return read_table(self.options, options, self.where, self.folder)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that ``linegate run`` needs to know besides the bundle."""

    camera: Request
    region: Box | None
    trigger: Plugin
    engine: EngineTable
    record: Path
    class_maps: bool
    sinks: tuple[Plugin, ...]


@dataclasses.dataclass(frozen=True)
class Overrides:
    """Options of the command line, None where not given; paths are as the user wrote them."""

    camera: str | None = None
    source: str | None = None
    region: Box | None = None
    trigger: str | None = None
    empty: Path | None = None
    part_size: Size | None = None
    engine: str | None = None
    threads: int | None = None
    record: Path | None = None


def load_config(path: Path | None, overrides: Overrides) -> RunConfig:
    """Read the file, if there is one, and put the command line's options over it.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or wrong.
    """
    document: dict[str, Any] = {} if path is None else _read(path)
    where = "the command line" if path is None else str(path)
    folder = Path() if path is None else path.parent
    known = ("camera", "region", "trigger", "engine", "record", "sink")
    _check_keys(document, known, where)
    for name, options in _tables(overrides).items():
        if options:
            document[name] = {**_table(document, name, where), **options}
    camera = _camera(_table(document, "camera", where), f"{where}: [camera]")
    record = read_table(
        _table(document, "record", where), RecordTable, f"{where}: [record]", folder
    )
    region = None
    if "region" in document:
        region = read_table(_table(document, "region", where), Box, f"{where}: [region]", folder)
    return RunConfig(
        camera=camera,
        region=region,
        trigger=_trigger(_table(document, "trigger", where), overrides, where, folder),
        engine=read_table(
            _table(document, "engine", where), EngineTable, f"{where}: [engine]", folder
        ),
        record=record.path or folder / DEFAULT_RECORD,
        class_maps=record.class_maps,
        sinks=_sinks(document.get("sink", []), where, folder),
    )


def read_table(table: Table, type_: type[T], where: str, folder: Path) -> T:
    """Turn a table into its type.

    Args:
        table: keys and values as they came from TOML.
        type_: a Struct that refuses unknown fields.
        where: what to call the table in messages.
        folder: what values of the type ``Path`` are relative to.

    Raises:
        ConfigError: a key is unknown, missing or has a wrong value.
    """
    _check_keys(table, type_.__struct_encode_fields__, where)

    def resolve(wanted: type, value: object) -> object:
        if wanted is Path and isinstance(value, str):
            return folder / value
        raise NotImplementedError(f"expected a type that TOML has, got {wanted}")

    try:
        return msgspec.convert(table, type_, dec_hook=resolve)
    except msgspec.ValidationError as error:
        message = str(error).replace(" - at `$.", " at `").replace("Object missing", "missing")
        raise ConfigError(f"{where}: {message}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a TOML file: {error}") from error


def _check_keys(table: Table, known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            valid = ", ".join(known) or "none"
            raise ConfigError(f"{where}: unknown key {key!r}; valid are: {valid}")


def _table(document: Mapping[str, object], name: str, where: str) -> dict[str, object]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table [{name}], got {table!r}")
    return table


def _tables(overrides: Overrides) -> dict[str, dict[str, object]]:
    """Return the command line's options as the tables of a file."""
    region = overrides.region
    tables: dict[str, dict[str, object | None]] = {
        "camera": {"address": overrides.camera, "source": overrides.source},
        "region": {} if region is None else msgspec.structs.asdict(region),
        "engine": {"name": overrides.engine, "threads": overrides.threads},
        "record": {"path": None if overrides.record is None else str(overrides.record.absolute())},
    }
    return {
        name: {key: value for key, value in table.items() if value is not None}
        for name, table in tables.items()
    }


def _camera(table: Table, where: str) -> Request:
    _check_keys(table, CameraTable.__struct_encode_fields__, where)
    if "address" not in table:
        raise ConfigError(
            f"{where}: expected an address; give it here or with --camera, "
            "such as http://192.168.1.20/stream.mjpg, rtsp://..., 0 for the first USB camera, "
            "a video file or a folder of images"
        )
    camera = read_table(table, CameraTable, where, Path())
    _check_address(camera.address, where)
    return Request(
        source=camera.source or source_for(camera.address),
        options=SourceOptions(
            address=camera.address,
            size=camera.size,
            fps=camera.fps,
            open_timeout_s=camera.open_timeout_s,
            read_timeout_s=camera.read_timeout_s,
        ),
    )


def _check_address(address: str, where: str) -> None:
    """Refuse what no source can mean; the address is not repeated, it may hold a password."""
    try:
        parts = urllib.parse.urlsplit(address)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigError(f"{where}: the camera's address is malformed: {error}") from error
    if not address or not has_port:
        raise ConfigError(
            f"{where}: expected a camera's address such as http://192.168.1.20/stream.mjpg, "
            "got an empty one or port 0"
        )


def _trigger(table: Table, overrides: Overrides, where: str, folder: Path) -> Plugin:
    options = dict(table)
    kind = _kind(options, "presence", f"{where}: [trigger]")
    if overrides.trigger not in (None, kind):
        # Options of one trigger mean nothing to another.
        kind, options = str(overrides.trigger), {}
    if overrides.empty is not None:
        options["empty"] = str(overrides.empty.absolute())
    if overrides.part_size is not None:
        options["part_size"] = [overrides.part_size.width, overrides.part_size.height]
    return Plugin(kind=kind, options=options, where=f"{where}: [trigger] {kind}", folder=folder)


def _sinks(tables: object, where: str, folder: Path) -> tuple[Plugin, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{where}: expected tables [[sink]], got {tables!r}")
    sinks = []
    for number, table in enumerate(tables, start=1):
        options = dict(table)
        kind = _kind(options, None, f"{where}: [[sink]] {number}")
        sinks.append(Plugin(kind, options, f"{where}: [[sink]] {number} {kind}", folder))
    return tuple(sinks)


def _kind(options: dict[str, object], default: str | None, where: str) -> str:
    """Take ``kind`` out of a table."""
    kind = options.pop("kind", default)
    if not isinstance(kind, str):
        raise ConfigError(f'{where}: expected kind = "NAME", got {kind!r}')
    return kind
