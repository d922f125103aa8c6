"""Fixtures for all tests; nothing here needs more than the device's environment."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import tiny_bundle

# How long values take to be drawn depends on who else uses the machine, and is no pass or fail.
hypothesis.settings.register_profile(
    "linegate", suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("linegate")


@pytest.fixture(autouse=True, scope="session")
def state_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what linegate remembers between runs out of the developer's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    """Path of a small bundle that the fake engine runs, see :func:`tests.support.tiny_bundle`."""
    return tiny_bundle(tmp_path / "tiny-1.0.0.linegate")
