"""Modules that stand in for vendors' libraries that no workstation has."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent
"""On the module search path, it makes all stand-ins importable by their vendors' names."""


def install_picamera2(monkeypatch: pytest.MonkeyPatch, **plan: object) -> None:
    """Make ``import picamera2`` find the stand-in, in child processes too.

    Args:
        monkeypatch: takes it back after the test.
        plan: see the stand-in's ``Plan``.
    """
    monkeypatch.setenv("STANDIN_PICAMERA2", json.dumps(plan))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    monkeypatch.setenv("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    monkeypatch.syspath_prepend(FOLDER)
    # Set, so that it is removed after the test; not there, so that it is imported anew.
    monkeypatch.setitem(sys.modules, "picamera2", ModuleType("picamera2"))
    del sys.modules["picamera2"]
