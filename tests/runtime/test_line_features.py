"""A real line with several cameras, regions, deadlines, its own policy, and another bundle."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from linegate_bundle.errors import CameraError, DataError
from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.policy import PolicyOrigin
from linegate_runtime.reason import Reason
from linegate_runtime.recording import RecordingWriter
from linegate_runtime.testing import MjpegServer
from tests.runtime.crashing_model import crashing_bundle
from tests.runtime.live_support import showing, wait_until
from tests.runtime.test_run import running
from tests.support import TINY_BUNDLE, tiny_bundle

LINEGATE = [sys.executable, "-m", "linegate_runtime"]


def run_config(
    folder: Path, bundle: Path, config: str, *arguments: str, code: int = 0
) -> list[PartRow]:
    """Run a line from a configuration file to its end, and return what it told."""
    (folder / "line.toml").write_text(config + '\n[engine]\nname = "fake"\n')
    done = subprocess.run(
        [
            *LINEGATE,
            "run",
            str(bundle),
            "--config",
            str(folder / "line.toml"),
            "--json",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return [msgspec.json.decode(line, type=PartRow) for line in done.stdout.splitlines()]


def test_several_cameras_and_regions_are_judged_in_one_run(
    tmp_path: Path, bundle_path: Path
) -> None:
    rows = run_config(
        tmp_path,
        bundle_path,
        """
[trigger]
kind = "continuous"
frames = 3
[[camera]]
name = "left"
address = "64x48@50"
source = "fake"
[[camera.region]]
name = "top"
x = 0
y = 0
width = 64
height = 24
[[camera.region]]
name = "bottom"
x = 0
y = 24
width = 64
height = 24
[[camera]]
name = "right"
address = "32x24@50"
source = "fake"
rotation = 90
""",
        "--parts",
        "60",
    )
    stations = {(row.camera, row.region) for row in rows}
    assert stations == {("left", "top"), ("left", "bottom"), ("right", "")}
    for camera, region in stations:
        numbers = [row.part for row in rows if (row.camera, row.region) == (camera, region)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 8


def test_parts_that_no_frame_shows_are_rejected_in_time(tmp_path: Path, bundle_path: Path) -> None:
    with MjpegServer(showing(60)) as server:
        server.hang()
        started = time.monotonic_ns()
        rows = run_config(
            tmp_path,
            bundle_path,
            f'[camera]\naddress = "{server.address}"\n'
            '[trigger]\nkind = "interval"\nperiod_s = 0.3\n[verdict]\ndeadline_s = 0.4\n',
            "--parts",
            "3",
            code=CameraError.exit_code,
        )
    assert [(row.verdict, row.reason) for row in rows] == [(Verdict.REJECT, Reason.LATE)] * 3
    assert [row.part for row in rows] == [1, 2, 3]
    assert all((row.label, row.frame_number, row.frames_voted) == (None, None, 0) for row in rows)
    assert all((row.frame_age_ms, row.wait_ms, row.model_ms) == (None, None, None) for row in rows)
    assert rows[0].monotonic_ns > started


def test_a_stricter_line_is_marked_in_every_row(tmp_path: Path, bundle_path: Path) -> None:
    camera = '[camera]\naddress = "64x48@100"\nsource = "fake"\n[trigger]\nkind = "continuous"\n'
    strict = camera + "[verdict]\nreject_at_least = 0.31\naccept_at_most = 0.1\n"
    rows = run_config(tmp_path, bundle_path, strict, "--parts", "5")
    assert {row.policy for row in rows} == {PolicyOrigin.STRICTER}


def test_a_looser_line_needs_to_be_allowed_on_the_command_line(
    tmp_path: Path, bundle_path: Path
) -> None:
    camera = '[camera]\naddress = "64x48@100"\nsource = "fake"\n[trigger]\nkind = "continuous"\n'
    loose = camera + "[verdict]\naccept_at_most = 0.5\n"
    with pytest.raises(AssertionError, match=r"accept_at_most: expected at most the bundle's 0\.3"):
        run_config(tmp_path, bundle_path, loose, "--parts", "5")
    rows = run_config(tmp_path, bundle_path, loose, "--parts", "5", "--allow-looser")
    assert {row.policy for row in rows} == {PolicyOrigin.LOOSER}


def test_another_bundle_is_taken_while_the_line_runs_and_a_bad_one_is_not(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "now.linegate")
    other = tiny_bundle(tmp_path / "other.linegate", size=24)
    arguments = ["--camera", "64x48@50", "--source", "fake", "--trigger", "continuous"]
    with running(tmp_path, bundle, *arguments) as run:
        first = run.next_row().bundle_sha256
        shutil.copyfile(other, tmp_path / "new.linegate")
        (tmp_path / "new.linegate").replace(bundle)
        run.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "from now on by bundle" in run.log)
        later = [run.next_row() for _ in range(20)]
        assert wait_until(lambda: run.next_row().bundle_sha256 != first)
        (tmp_path / "bad.linegate").write_bytes(other.read_bytes()[:-100])
        (tmp_path / "bad.linegate").replace(bundle)
        run.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "the new bundle is not taken" in run.log)
        last = run.next_row()
        run.process.terminate()
        rows = [*later, last, *run.rest()]
    assert "is damaged" in run.log or "cut short" in run.log
    assert len({row.run for row in rows}) == 1
    assert rows[-1].bundle_sha256 != first
    numbers = [row.part for row in run.rows()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_bundle_that_crashes_its_engine_stops_neither_a_line_nor_starts_one(
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "now.linegate"
    shutil.copyfile(TINY_BUNDLE, bundle)
    camera = ["--camera", "64x48@50", "--source", "fake", "--trigger", "continuous"]
    arguments = [*camera, "--engine", "tflite"]
    with running(tmp_path, bundle, *arguments) as run:
        first = run.next_row().bundle_sha256
        crashing_bundle(tmp_path / "bad.linegate").replace(bundle)
        run.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "crashes the engine tflite (SIGSEGV)" in run.log)
        assert [run.next_row().bundle_sha256 for _ in range(5)] == [first] * 5
        run.process.terminate()
        assert run.rest() is not None
    with pytest.raises(AssertionError, match=r"crashes the engine tflite \(SIGSEGV\)"):
        run_config(
            tmp_path,
            bundle,
            '[camera]\naddress = "64x48@50"\nsource = "fake"\n[trigger]\nkind = "continuous"\n',
            *("--engine", "tflite", "--parts", "2"),
        )


def test_a_bundle_that_votes_over_more_frames_than_the_triggers_show_is_not_taken(
    tmp_path: Path,
) -> None:
    bundle = tiny_bundle(tmp_path / "now.linegate", vote_frames=2)
    other = tiny_bundle(tmp_path / "other.linegate", vote_frames=4)
    arguments = ["--camera", "64x48@50", "--source", "fake", "--trigger", "continuous"]
    with running(tmp_path, bundle, *arguments) as run:
        assert run.next_row().frames_voted == 2
        other.replace(bundle)
        run.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "it votes over 4 frames of a part" in run.log)
        assert "start the line anew" in run.log
        assert {run.next_row().frames_voted for _ in range(5)} == {2}
        run.process.terminate()
        run.rest()


def test_pictures_of_a_folder_are_not_taken_for_frames_of_one_part(
    tmp_path: Path, bundle_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 9, np.uint8))
    camera = f'[camera]\naddress = "{folder}"\n[trigger]\nkind = "continuous"\n'
    with pytest.raises(AssertionError, match=r"line 3: \[trigger\].*`linegate classify` judges"):
        run_config(tmp_path, bundle_path, camera)
    (tmp_path / "linegate.sqlite").unlink(missing_ok=True)
    rows = run_config(tmp_path, bundle_path, camera + "frames = 3\n")
    assert [row.frames_voted for row in rows] == [3, 3]


def test_the_log_can_be_json_for_programs(tmp_path: Path, bundle_path: Path) -> None:
    arguments = ["--camera", "64x48@50", "--source", "fake", "--trigger", "continuous"]
    record = ["--engine", "fake", "--record", str(tmp_path / "r.sqlite")]
    for place in (["--log-json", "run", str(bundle_path)], ["run", str(bundle_path), "--log-json"]):
        done = subprocess.run(
            [*LINEGATE, *place, *arguments, *record, "--parts", "2"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert {"time", "level", "logger", "message"} <= set(lines[0])
        assert any("2 parts:" in line["message"] for line in lines)
        (tmp_path / "r.sqlite").unlink()
    failed = subprocess.run(
        [*LINEGATE, "--log-json", "run", str(tmp_path / "nosuch"), *arguments, *record],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    error = json.loads(failed.stderr.splitlines()[-1])
    assert (error["level"], error["event"]) == ("error", "error")
    assert error["exit_code"] == failed.returncode != 0


def test_a_recording_plays_with_the_very_configuration_it_was_made_with(
    tmp_path: Path, bundle_path: Path
) -> None:
    rng = np.random.default_rng(0)
    with RecordingWriter(tmp_path / "day") as writer:
        for number in range(6):
            # As the line saw it: the camera's 64x48, turned.
            writer.append(rng.integers(0, 255, (64, 48, 3), np.uint8), number * 33_000_000)
    rows = run_config(
        tmp_path,
        bundle_path,
        f'[camera]\naddress = "{tmp_path / "day"}"\nrotation = 90\nsize = [64, 48]\n'
        "exposure_us = 1000\n[region]\nx = 0\ny = 40\nwidth = 48\nheight = 24\n"
        '[trigger]\nkind = "continuous"\nframes = 3\n',
    )
    assert [row.frame_number for row in rows] == [3, 6]


def test_what_ends_a_line_leaves_a_row_for_the_parts_in_view(
    tmp_path: Path, bundle_path: Path
) -> None:
    rng = np.random.default_rng(0)
    with RecordingWriter(tmp_path / "day") as writer:
        for number in range(4):
            writer.append(rng.integers(0, 255, (48, 64, 3), np.uint8), number * 33_000_000)
    damaged = tmp_path / "day" / "000003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:100])
    rows = run_config(
        tmp_path,
        bundle_path,
        f'[camera]\naddress = "{tmp_path / "day"}"\n[trigger]\nkind = "continuous"\nframes = 9\n',
        code=DataError.exit_code,
    )
    assert [(row.part, row.reason, row.frames_voted) for row in rows] == [(1, Reason.FEW, 2)]
