from pathlib import Path

import pytest

from linegate_bundle.errors import ConfigError
from linegate_runtime.backends import BACKENDS, Backend
from linegate_runtime.backends.fake import FakeBackend
from linegate_runtime.registry import Registry


def install(folder: Path, entry: str) -> None:
    """Put a distribution with one entry point on disk, as pip would."""
    information = folder / "extra_engine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: extra-engine\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(f"[linegate.backends]\n{entry}\n")
    (folder / "extra_engine.py").write_text(
        "from linegate_runtime.backends.fake import FakeBackend\n"
        "class Extra(FakeBackend): pass\n"
        "class Other: pass\n"
    )


def test_an_engine_of_another_distribution_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "extra = extra_engine:Extra")
    monkeypatch.syspath_prepend(tmp_path)
    assert "extra" in BACKENDS.names()
    assert issubclass(BACKENDS.load("extra"), FakeBackend)


def test_what_is_no_member_of_the_family_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "odd = extra_engine:Other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"'odd' .* must derive from .*\.Backend"):
        BACKENDS.load("odd")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    registry = Registry("backend", Backend, {"broken": "no_such_module:Class"})
    assert registry.names() == ["broken"]


@pytest.mark.parametrize("name", BACKENDS.names())
def test_every_registered_name_is_a_class_of_the_family(name: str) -> None:
    assert issubclass(BACKENDS.load(name), Backend)
