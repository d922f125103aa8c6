"""Sources of frames by name."""

import os
import re

from linegate_runtime.registry import Registry
from linegate_runtime.sources.base import Captured, Source, SourceOptions, refused_settings
from linegate_runtime.sources.recording_index import INDEX_NAME

SOURCES = Registry(
    "source",
    Source,
    {
        "mjpeg": "linegate_runtime.sources.mjpeg:MjpegSource",
        "opencv": "linegate_runtime.sources.opencv:OpenCvSource",
        "picamera2": "linegate_runtime.sources.picamera2:Picamera2Source",
        "folder": "linegate_runtime.sources.folder:FolderSource",
        "replay": "linegate_runtime.sources.replay:ReplaySource",
        "fake": "linegate_runtime.sources.fake:FakeSource",
    },
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def source_for(address: str) -> str:
    """Return the name of the source that an address is meant for, if none is given."""
    if address.lower().startswith("http://"):
        return "mjpeg"
    if address.partition(":")[0] == "csi":
        return "picamera2"
    # Of what is forbidden nothing is said here; whoever opens it says why that cannot be.
    if not _URL.match(address) and os.path.isdir(address):  # noqa: PTH112 - never raises
        is_recording = os.path.isfile(os.path.join(address, INDEX_NAME))  # noqa: PTH113, PTH118
        return "replay" if is_recording else "folder"
    return "opencv"


__all__ = ["SOURCES", "Captured", "Source", "SourceOptions", "refused_settings", "source_for"]
