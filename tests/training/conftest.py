"""Fixtures of the training's tests."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from linegate_training.tensorflow_switches import set_switches
from tests.training.pictures import write_photographs

if TYPE_CHECKING:
    import keras

set_switches()

_FOREIGN_WARNINGS = ("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",)
"""What Keras does with NumPy when it saves or compares; nothing here can change it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings of Keras itself pass in this folder's tests; all others stay errors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in _FOREIGN_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with 60 good pictures and 30 scratched ones."""
    return write_photographs(tmp_path / "photographs", {"good": 60, "scratch": 30})


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the seconds that drawing takes; runs of wider fixtures have their report."""
    from linegate_training import run_writer

    monkeypatch.setattr(run_writer, "write_report", lambda *_, **__: None)


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "keras.Model":
    """Let trainings take a tiny network, and write weights for it to ``weights.keras``."""
    from linegate_training import run
    from tests.training import tiny

    monkeypatch.setattr(run, "load_network", lambda *_: tiny.TINY)
    return tiny.pretrained(tmp_path / "weights.keras")
