"""Fixtures for all tests; nothing here needs more than the device's environment."""

from pathlib import Path

import pytest

from tests.support import tiny_bundle


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    """Path of a small bundle that the fake engine runs, see :func:`tests.support.tiny_bundle`."""
    return tiny_bundle(tmp_path / "tiny-1.0.0.linegate")
