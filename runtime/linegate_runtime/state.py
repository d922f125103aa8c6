"""What the device remembers between runs: small JSON files in one folder.

Nothing here is needed to go on. A folder that cannot be written to means that things are
measured and probed again.
"""

import logging
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from linegate_bundle.atomic import write_atomic

_LOG = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)


def state_folder() -> Path:
    """Return the folder: the service's own, or the user's by the XDG base directories.

    Raises:
        RuntimeError: the user has no home.
    """
    service = os.environ.get("STATE_DIRECTORY")
    if service:
        return Path(service.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME")
    base = Path(home) if home else Path("~/.local/state").expanduser()
    return base / "linegate"


def recall(name: str, type_: type[T], folder: Path | None = None) -> T | None:
    """Return what was remembered under a name; None if nothing was or it cannot be read."""
    try:
        path = (folder or state_folder()) / f"{name}.json"
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, ValueError, msgspec.MsgspecError) as error:
        _LOG.debug("nothing is remembered as %s: %s", name, error)
        return None


def remember(name: str, value: msgspec.Struct, folder: Path | None = None) -> Path | None:
    """Write something down under a name, as a whole or not at all; None if that cannot be."""
    try:
        path = (folder or state_folder()) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.format(msgspec.json.encode(value)) + b"\n")
    except (OSError, RuntimeError) as error:
        _LOG.debug("%s cannot be remembered: %s", name, error)
        return None
    return path
