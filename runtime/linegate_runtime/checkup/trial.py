"""Tries what a line opens: its engine with the bundle, and its cameras."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from linegate_runtime.checkup.base import Finding
from linegate_runtime.config_file import Overrides

if TYPE_CHECKING:
    from linegate_runtime.config import RunConfig


_ENGINE_S = 150.0
"""For starting, trying a model in a process of its own, and opening it: each may hang as long as
it takes to be sure of it."""

_CAMERA_S = 30.0
"""For one camera: its process starts, and is watched."""


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A running service, which may hold cameras.

    Attributes:
        status: what it says of itself.
        is_own: whether it runs with the settings that are looked at.
    """

    status: str
    is_own: bool


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What another process is to try.

    Attributes:
        settings: the file.
        overrides: options of the command line over it.
        bundle: what judges; None takes that of the settings.
        held: the service if it runs.
    """

    settings: Path
    overrides: Overrides
    bundle: Path | None
    held: Held | None

    def encode(self) -> str:
        """Return it as JSON; paths are made absolute, for the other may be elsewhere."""
        return msgspec.json.encode(self, enc_hook=_plain).decode()

    @classmethod
    def decode(cls, text: str) -> "Trial":
        """Read what :meth:`encode` has written."""
        return msgspec.json.decode(text, type=cls, dec_hook=_restored)


def limit_s(cameras: int) -> float:
    """Return after how long a trial with so many cameras hangs."""
    return _ENGINE_S + cameras * _CAMERA_S


def try_engine(config: "RunConfig | None", bundle: Path | None) -> Iterator[Finding]:
    """Run a bundle, or without one a tiny model.

    Args:
        config: of the line; None without settings.
        bundle: None takes that of the settings.
    """
    from linegate_runtime.checkup.engine import check_bundle, check_tiny  # noqa: PLC0415
    from linegate_runtime.config import EngineTable  # noqa: PLC0415

    path = bundle or (None if config is None else config.bundle)
    if path is None:
        yield check_tiny()
    else:
        yield check_bundle(path, EngineTable() if config is None else config.engine)


def try_cameras(config: "RunConfig", held: Held | None) -> Iterator[Finding]:
    """Open every camera that no service may hold.

    Args:
        config: of the line.
        held: the service if it runs.
    """
    from linegate_runtime.checkup.cameras import (  # noqa: PLC0415
        check_camera,
        check_held,
        is_device,
    )

    for camera in config.cameras:
        if held is not None and is_device(camera):
            yield check_held(camera, held.status, is_own=held.is_own)
        else:
            yield check_camera(camera)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value.absolute())
    raise TypeError(f"expected a plain value or a path, got {type(value).__name__}")


def _restored(wanted: type, value: object) -> Path:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected a plain value or a path, got {wanted.__name__}")
