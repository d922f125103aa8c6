"""``linegate run`` with what cannot work: a message, a code, and nothing half-written."""

from pathlib import Path

import pytest

from linegate_runtime.cli import main


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 4, "expected an address; give it here or with --camera"),
        (["--camera", "nosuch.mp4"], 4, "there is no such file"),
        (["--camera", "64x48@30", "--source", "fake", "--trigger", "magic"], 4, "valid are: cont"),
        (["--camera", "64x48@30", "--source", "magic"], 4, "valid are: fake, folder"),
        (
            ["--camera", "64x48@30", "--source", "fake", "--region", "0,0,65,48"],
            4,
            "expected a region inside the frame of 64x48",
        ),
        (["--camera", "64x48@30", "--source", "fake", "--empty", "no.png"], 4, "no.png: cannot be"),
        (["--camera", "0", "--part-size", "300"], 2, "expected WxH such as 300x300, got 300"),
        (["--camera", "0", "--region", "1,2,3"], 2, "expected X,Y,W,H"),
        (["--camera", "0", "--parts", "0"], 2, "expected a whole number from 1 up"),
    ],
)
def test_wrong_options_end_with_a_message_and_a_code(
    tmp_path: Path,
    bundle_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    record = tmp_path / "record.sqlite"
    assert end_of_run(bundle_path, record, arguments) == code
    written = capsys.readouterr()
    assert message in written.err
    assert "Traceback" not in written.err
    assert written.out == ""


def end_of_run(bundle: Path, record: Path, arguments: list[str]) -> int | str | None:
    """Run in this process, for speed, and return the exit code."""
    try:
        return main(["run", str(bundle), "--engine", "fake", "--record", str(record), *arguments])
    except SystemExit as error:
        return error.code


FAKE_CAMERA = ["--camera", "64x48@30", "--source", "fake"]


def test_a_bundle_that_is_none_ends_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.linegate"
    path.write_bytes(b"no bundle" * 100)
    record = tmp_path / "record.sqlite"
    assert end_of_run(path, record, FAKE_CAMERA) == 3
    assert "expected a linegate bundle" in capsys.readouterr().err
    assert not record.exists()


def test_a_record_that_is_none_ends_with_its_code_and_is_left_alone(
    tmp_path: Path, bundle_path: Path
) -> None:
    record = tmp_path / "record.sqlite"
    record.write_text("my notes " * 100)
    assert end_of_run(bundle_path, record, FAKE_CAMERA) == 7
    assert record.read_text() == "my notes " * 100
