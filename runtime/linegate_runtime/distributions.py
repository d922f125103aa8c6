"""Versions of installed distributions, read off the names of their metadata folders.

The standard library's ``importlib.metadata`` parses the metadata with the e-mail package;
loading that takes longer than opening a model.
"""

import os
import re
import sys
from collections.abc import Iterable

_METADATA = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
"""Recorded as ``NAME-VERSION.dist-info`` (PyPA: recording installed projects)."""


def find_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed, by the given names."""
    wanted = {_normalized(name): name for name in names}
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - a path object for each takes time
        except OSError:
            continue
        for entry in entries:
            match = _METADATA.fullmatch(entry)
            name = None if match is None else wanted.get(_normalized(match["name"]))
            # What is first on the path is what is imported.
            if match is not None and name is not None:
                found.setdefault(name, match["version"])
    return found


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
