"""``linegate log`` on files that are no record, on damaged ones, and what it leaves behind."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from linegate_runtime.cli import main
from linegate_runtime.record import Record
from tests.runtime.log_support import make_record, tamper, varied

_OK, _BROKEN = 0, 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_record(tmp_path / "record.sqlite", (varied(part) for part in range(1, 61)))


def _noise(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))


def _other(path: Path) -> None:
    path.unlink()
    tamper(path, "CREATE TABLE music (title TEXT)")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "expected a record, there is no such file"),
        (lambda path: path.write_text("no database " * 100), "file is not a database"),
        (_other, "expected a record of linegate, got another SQLite file"),
        (_noise, "malformed"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "show", "export", "stats"])
def test_what_is_no_record_or_damaged_is_said_to_be(
    path: Path,
    spoil: Callable[[Path], object],
    message: str,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(path)
    more = ["--format", "csv", "--out", str(path.with_name("out"))] if command == "export" else []
    assert main(["log", command, str(path), *more]) == _BROKEN
    assert message in capsys.readouterr().err
    assert not path.with_name("out").exists()


def test_nothing_is_changed_by_looking(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = hashlib.sha256(path.read_bytes()).digest()
    out = path.with_name("out.csv")
    files = {*path.parent.iterdir(), out}
    for more in (["verify"], ["show"], ["stats"], ["export", "--format=csv", f"--out={out}"]):
        assert main(["log", *more, str(path)]) == _OK
    capsys.readouterr()
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert set(path.parent.iterdir()) == files


def test_an_empty_record_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "record.sqlite"
    Record(path).close()
    for name in ("csv", "jsonl"):
        out = tmp_path / f"out.{name}"
        assert main(["log", "export", str(path), "--format", name, "--out", str(out)]) == _OK
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert (tmp_path / "out.csv").read_text().count("\n") == 1
    for command in ("verify", "show", "stats"):
        assert main(["log", command, str(path)]) == _OK
        assert main(["log", command, str(path), "--json"]) == _OK
    assert "0 rows" in capsys.readouterr().out


def test_an_empty_record_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Record(tmp_path / "record.sqlite").close()
    arguments = ["log", "verify", str(tmp_path / "record.sqlite")]
    assert main(arguments) == _OK
    head = f"0:{'0' * 64}"
    text = capsys.readouterr().out
    assert "no rows\n" in text
    assert f"head {head}\n" in text
    assert main([*arguments, "--expect", head]) == _OK
