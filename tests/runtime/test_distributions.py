"""Versions without the e-mail package: the same as the standard library tells."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from linegate_runtime.distributions import find_versions


def test_versions_are_those_of_the_standard_library() -> None:
    names = ["numpy", "msgspec", "opencv-python-headless", "hypothesis", "no-such-thing"]
    expected = {}
    for name in names[:-1]:
        expected[name] = importlib.metadata.version(name)
    assert find_versions(names) == expected


def test_spelling_does_not_matter_and_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, entry in (
        ("one", "Ai_Edge.LiteRT-2.1.1.dist-info"),
        ("two", "ai_edge_litert-9.9.dist-info"),
        ("two", "numpy-1.24.2.egg-info"),
        ("two", "old_thing-1.0-py3.11.egg-info"),
        ("two", "not metadata"),
    ):
        (tmp_path / folder / entry).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("one", "two", "none")])
    assert find_versions(["ai-edge-litert", "numpy", "old-thing"]) == {
        "ai-edge-litert": "2.1.1",
        "numpy": "1.24.2",
        "old-thing": "1.0",
    }
