"""Sources of frames by name."""

import re
from pathlib import Path

from linegate_runtime.registry import Registry
from linegate_runtime.sources.base import Captured, Source, SourceOptions

SOURCES = Registry(
    "source",
    Source,
    {
        "mjpeg": "linegate_runtime.sources.mjpeg:MjpegSource",
        "opencv": "linegate_runtime.sources.opencv:OpenCvSource",
        "folder": "linegate_runtime.sources.folder:FolderSource",
        "fake": "linegate_runtime.sources.fake:FakeSource",
    },
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def source_for(address: str) -> str:
    """Return the name of the source that an address is meant for, if none is given."""
    if address.lower().startswith("http://"):
        return "mjpeg"
    if not _URL.match(address) and Path(address).is_dir():
        return "folder"
    return "opencv"


__all__ = ["SOURCES", "Captured", "Source", "SourceOptions", "source_for"]
