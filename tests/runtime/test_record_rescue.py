"""Records that are damaged: moved aside, kept, and a new one begun at once."""

import time
from pathlib import Path

import pytest

from linegate_bundle.errors import OutputError
from linegate_runtime.record import Access, Entry, Record
from linegate_runtime.record_rescue import open_record
from tests.runtime.test_record import row


def filled(path: Path, parts: int = 500) -> bytes:
    with Record(path) as record:
        record.append([Entry(row(part)) for part in range(1, parts + 1)])
    return path.read_bytes()


def kept(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


def test_a_good_record_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    filled(path)
    record, alarm = open_record(path)
    with record:
        assert alarm is None
        assert record.chain.last_number == 500
    assert kept(path) == []


@pytest.mark.parametrize(
    ("start", "length", "noise"),
    [
        pytest.param(0, 4096, 0, id="first page of zeros"),
        pytest.param(0, 100, 0xA5, id="header of noise"),
        pytest.param(4096, 8192, 0xA5, id="pages of the schema's tables"),
        pytest.param(100, 3000, 0, id="schema"),
        pytest.param(40_000, 60_000, 0x5A, id="pages of rows"),
    ],
)
def test_a_damaged_record_is_moved_aside_and_a_new_one_begun_within_five_seconds(
    tmp_path: Path, start: int, length: int, noise: int
) -> None:
    path = tmp_path / "record.sqlite"
    content = bytearray(filled(path))
    content[start : start + length] = bytes([noise]) * length
    path.write_bytes(content)
    started = time.monotonic()
    record, alarm = open_record(path)
    with record:
        assert time.monotonic() - started < 5
        assert record.chain.last_number == 0
        record.append([Entry(row(1))])
    assert alarm is not None
    assert "a new one was begun" in alarm
    (old,) = kept(path)
    assert old.read_bytes() == content
    assert str(old) in alarm


def test_a_record_that_is_cut_short_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    content = filled(path)
    path.write_bytes(content[: len(content) // 8192 * 4096])
    record, alarm = open_record(path)
    with record:
        assert alarm is not None
    assert len(kept(path)) == 1


def test_several_damaged_ones_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    for _ in range(3):
        path.write_bytes(bytes(8192))
        record, alarm = open_record(path)
        record.close()
        assert alarm is not None
    assert len(kept(path)) == 3


def test_what_was_named_by_mistake_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 100)
    with pytest.raises(OutputError, match="file is not a database"):
        open_record(path)
    assert path.read_text() == "no database " * 100
    assert kept(path) == []


def test_the_new_one_has_another_name_so_that_readers_notice(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    filled(path)
    with Record(path, Access.READ) as record:
        before = record.chain.record
    path.write_bytes(bytes(8192))
    record, _ = open_record(path)
    with record:
        assert record.chain.record != before
