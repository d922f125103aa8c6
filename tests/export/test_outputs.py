"""The files of an export: all or none, whatever the disk does, and nothing stale beside them."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import OutputError
from linegate_export import outputs
from linegate_export.outputs import Outputs
from tests.disk import room_for

Write = Callable[[dict[Path, bytes]], str]


@pytest.fixture
def plan(tmp_path: Path) -> Outputs:
    return Outputs.plan(tmp_path, "blobs", "1.2.3", None)


@pytest.fixture
def write(plan: Outputs) -> Write:
    """Write a real bundle, with the given sidecars, as an export that passed."""
    trained = Path(__file__).parents[1] / "data" / "tiny.linegate"
    with Bundle.open(trained, "0.1.0") as bundle:
        members = {name: bundle.read(name) for name in bundle.manifest.members}
        manifest = bundle.manifest
    return lambda sidecars: plan.write_passed(manifest, members, sidecars)


@pytest.fixture
def older(plan: Outputs) -> Outputs:
    """The same place, where all files of an older export lie."""
    for path in plan.paths:
        path.write_bytes(b"older")
    return plan


def assert_as_they_were(plan: Outputs) -> None:
    assert sorted(plan.bundle.parent.iterdir()) == sorted(plan.paths)
    assert {path.read_bytes() for path in plan.paths} == {b"older"}


@pytest.mark.parametrize("room_bytes", [10, 1000, 100_000])
def test_what_does_not_fit_on_the_disk_leaves_the_older_files_as_they_were(
    older: Outputs, write: Write, room_bytes: int
) -> None:
    """A limit on the size of files stands for the full disk; which file meets it differs."""
    full = pytest.raises(OutputError, match="cannot write the export: File too large")
    with full, room_for(room_bytes):
        write({older.report: 500 * b"r", older.accuracy: 5000 * b"f"})
    assert_as_they_were(older)


def test_a_disk_that_fails_at_the_last_file_leaves_the_older_ones_as_they_were(
    older: Outputs, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk tells some failures only when asked to make sure of what was written."""

    def fail(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(outputs, "sync_file", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write({older.report: b"r", older.accuracy: b"f"})
    assert_as_they_were(older)


def test_a_file_for_other_programs_that_nobody_asked_for_again_is_taken_away(
    plan: Outputs, write: Write
) -> None:
    plan.interop.write_bytes(b"of another export")
    write({plan.report: b"r", plan.accuracy: b"f"})
    assert sorted(plan.bundle.parent.iterdir()) == sorted([plan.bundle, plan.report, plan.accuracy])
