import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import linegate_runtime
from linegate_runtime.cli import main

DEVICE_COMMANDS = ["run", "classify", "inspect", "verify"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    cv2.imwrite(str(folder / "dark.png"), np.full((20, 30, 3), 10, np.uint8))
    cv2.imwrite(str(folder / "deep" / "light.png"), np.full((20, 30), 250, np.uint8))
    return folder


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for command in DEVICE_COMMANDS:
        assert f"\n    {command} " in text
    assert "exit codes:" in text


@pytest.mark.parametrize("command", DEVICE_COMMANDS)
def test_every_command_has_a_help_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "BUNDLE" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["classify"], ["inspect", "a", "b"]])
def test_wrong_options_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"linegate {linegate_runtime.__version__}\n"


def test_classify_prints_a_table_with_a_line_a_picture(
    bundle_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(bundle_path), str(pictures), "--engine", "fake"]) == 0
    header, *lines, summary = capsys.readouterr().out.splitlines()
    assert header.split() == ["verdict", "p(defect)", "label", "file"]
    assert [line.split()[0] for line in lines] == ["accept", "reject"]
    assert summary == "1 accept, 1 reject"


def test_classify_json_has_every_probability(
    bundle_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["classify", str(bundle_path), str(pictures / "dark.png"), "--engine", "fake", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "accept"
    assert sum(document["probabilities"].values()) == pytest.approx(1)
    assert document["defect_probability"] == document["probabilities"]["bright"]


def test_a_corrupt_picture_is_named_the_others_are_judged_and_the_exit_code_says_so(
    bundle_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.png").write_bytes((pictures / "dark.png").read_bytes()[:-20])
    assert main(["classify", str(bundle_path), str(pictures), "--engine", "fake"]) == 8
    captured = capsys.readouterr()
    assert "broken.png: expected a whole image, the file is cut short" in captured.err
    assert captured.out.splitlines()[-1] == "1 unreadable, 1 accept, 1 reject"


def test_classify_judges_every_nth_frame_of_a_video(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for index in range(10):
        writer.write(np.full((48, 64, 3), 250 if index >= 5 else 5, np.uint8))
    writer.release()
    assert (
        main(
            ["classify", str(bundle_path), str(path), "--engine", "fake", "--json", "--every", "3"]
        )
        == 0
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["frame"] for line in lines] == [0, 3, 6, 9]
    assert [line["verdict"] for line in lines] == ["accept", "accept", "reject", "reject"]


def test_a_broken_video_is_named(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "belt.avi"
    path.write_bytes(b"no video")
    assert main(["classify", str(bundle_path), str(path), "--engine", "fake"]) == 8
    assert "expected a video that OpenCV can decode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["inspect", "nowhere.linegate"], 3, "nowhere.linegate: cannot be opened"),
        (["run", "--camera", "0"], 4, 'bundle = "NAME.linegate"'),
        (["classify", "BUNDLE", "nowhere.png", "--engine", "fake"], 8, "no such file"),
        (["classify", "BUNDLE", "EMPTY", "--engine", "fake"], 8, "found none"),
        (["classify", "BUNDLE", "EMPTY", "--engine", "tpu"], 4, "valid are: fake, onnx, tflite"),
    ],
)
def test_errors_say_what_was_expected_and_exit_by_whose_fault(
    arguments: list[str],
    code: int,
    message: str,
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"BUNDLE": str(bundle_path), "EMPTY": str(tmp_path / "empty")}
    assert main([places.get(word, word) for word in arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("linegate: error: ")
    assert message in error
    assert "Traceback" not in error


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "inspect", "nowhere.linegate"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_inspect_json_is_the_manifest(
    bundle_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["manifest"]["labels"][1] == {"name": "bright", "role": "defect"}
    assert len(document["sha256"]) == 64


def test_inspect_shows_labels_models_and_thresholds(
    bundle_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle_path)]) == 0
    text = capsys.readouterr().out
    for word in ("tiny 1.0.0", "bright", "model.int8.onnx", "at most 0.300", "16 x 16"):
        assert word in text


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "linegate_runtime", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_a_full_disk_is_an_error_and_not_a_traceback(bundle_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("inspect", str(bundle_path), stdout=full)
    assert done.returncode == 7
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(bundle_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = run("inspect", str(bundle_path), stdout=closed)
    assert done.stderr == ""
    assert done.returncode == 141
