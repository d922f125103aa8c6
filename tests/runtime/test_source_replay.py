"""Recordings: what the writer leaves, what the index must be, and the pace of the replay."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError, OutputError
from linegate_runtime.recording import FrameFile, RecordingWriter
from linegate_runtime.sources import SOURCES, Captured, SourceOptions, source_for
from linegate_runtime.sources.recording_index import INDEX_NAME, read_index
from linegate_runtime.sources.replay import ReplaySource
from tests.runtime.live_support import even_picture

MS = 1_000_000
START = 7_000_000_000_000


def record(folder: Path, times_ms: list[int], files: FrameFile = FrameFile.JPEG) -> Path:
    """Record even pictures that get brighter by 20."""
    with RecordingWriter(folder, files) as writer:
        for index, time_ms in enumerate(times_ms):
            writer.append(even_picture(20 * index), START + time_ms * MS)
    return folder


def replay(folder: Path, speed: float | None = None, read_timeout_s: float = 2.0) -> ReplaySource:
    return ReplaySource(
        SourceOptions(address=str(folder), speed=speed, read_timeout_s=read_timeout_s)
    )


def read_all(source: ReplaySource) -> list[Captured]:
    frames = []
    while (captured := source.read()) is not None:
        frames.append(captured)
    return frames


def index_with(folder: Path, *lines: object) -> Path:
    """Write an index of one recorded frame, then these lines."""
    record(folder, [0])
    path = folder / INDEX_NAME
    rest = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in rest))
    return folder


@pytest.mark.parametrize("files", FrameFile)
def test_what_was_recorded_is_played(tmp_path: Path, files: FrameFile) -> None:
    folder = record(tmp_path / "recording", [0, 40, 40, 90], files)
    frames = read_all(replay(folder))
    assert [frame.pixels.mean() for frame in frames] == pytest.approx([0, 20, 40, 60], abs=1)
    assert [frame.taken_ns for frame in frames] == [START + ms * MS for ms in (0, 40, 40, 90)]


def test_png_keeps_the_very_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    with RecordingWriter(tmp_path / "recording", FrameFile.PNG) as writer:
        writer.append(noise, 0)
    captured = replay(tmp_path / "recording").read()
    assert captured is not None
    assert np.array_equal(captured.pixels, noise)


def test_an_address_finds_the_replay_where_there_is_an_index(tmp_path: Path) -> None:
    folder = record(tmp_path / "recording", [0])
    assert source_for(str(folder)) == "replay"
    (folder / INDEX_NAME).unlink()
    assert source_for(str(folder)) == "folder"
    assert not SOURCES.load("replay").is_live(str(folder))


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_no_frame_comes_before_it_is_due_and_none_much_later(tmp_path: Path, speed: float) -> None:
    times_ms = [0, 60, 80, 200]
    source = replay(record(tmp_path / "recording", times_ms), speed)
    frames = read_all(source)
    started = frames[0].monotonic_ns
    for frame, time_ms in zip(frames, times_ms, strict=True):
        late_ms = (frame.monotonic_ns - started) / MS - time_ms / speed
        assert -1 < late_ms < 100


def test_a_slow_reader_gets_every_frame_and_makes_up_for_the_time(tmp_path: Path) -> None:
    source = replay(record(tmp_path / "recording", [0, 50, 100, 150, 300]), speed=1.0)
    assert source.read() is not None
    time.sleep(0.2)
    started = time.monotonic()
    brightness = [round(frame.pixels.mean()) for frame in (source.read(), source.read()) if frame]
    assert brightness == [20, 40]
    assert time.monotonic() - started < 0.09
    assert len(read_all(source)) == 2
    assert 0.05 < time.monotonic() - started < 0.3


def test_without_a_speed_frames_come_as_fast_as_they_are_wanted(tmp_path: Path) -> None:
    source = replay(record(tmp_path / "recording", [0, 60_000, 120_000]), speed=None)
    started = time.monotonic()
    assert len(read_all(source)) == 3
    assert time.monotonic() - started < 1


def test_a_gap_that_would_be_taken_for_a_hang_is_refused_with_its_lines(tmp_path: Path) -> None:
    folder = record(tmp_path / "recording", [0, 100, 6_100])
    with pytest.raises(
        ConfigError,
        match=r"read_timeout_s = 2 s, at speed 1 000003\.jpg comes 6\.0 s after 000002\.jpg "
        r"\(lines 2 and 3\); raise read_timeout_s or the speed",
    ):
        replay(folder, speed=1.0)
    replay(folder, speed=4.0)
    replay(folder, speed=1.0, read_timeout_s=7.0)


def test_every_wrong_line_is_named_at_once(tmp_path: Path) -> None:
    folder = index_with(
        tmp_path / "recording",
        {"file": "000001.jpg", "taken_ns": START - 1},
        {"file": "000009.jpg", "taken_ns": START},
        {"file": "../000001.jpg", "taken_ns": START},
        {"file": "/etc/passwd", "taken_ns": START},
        {"file": "000001.jpg", "taken_ns": START, "gain": 2},
        {"file": "000001.jpg"},
        {"file": "000001.jpg", "taken_ns": "now"},
        "no JSON",
        "",
        {"file": "", "taken_ns": START},
    )
    with pytest.raises(ConfigError) as caught:
        replay(folder)
    head, *problems = str(caught.value).split("\n")
    assert head == f"{folder / INDEX_NAME}: 10 wrong lines:"
    expected = [
        f"line 2: expected a time from {START} on, as in line 1, got {START - 1}",
        "line 3: there is no file '000009.jpg'",
        "line 4: expected a path inside the folder, got '../000001.jpg'",
        "line 5: expected a path inside the folder, got '/etc/passwd'",
        "line 6: Object contains unknown field `gain`",
        "line 7: Object missing required field `taken_ns`",
        "line 8: Expected `int`, got `str` - at `$.taken_ns`",
        "line 9: JSON is malformed",
        "line 10: Input data was truncated",
        "line 11: expected a path inside the folder, got ''",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.strip().startswith(start)


def test_of_many_wrong_lines_ten_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    folder = index_with(tmp_path / "recording", *["{}"] * 17)
    with pytest.raises(ConfigError, match=r"17 wrong lines") as caught:
        replay(folder)
    lines = str(caught.value).split("\n")
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "  and 7 more"


@pytest.mark.parametrize("rest", ['{"file":"0000', "{", "\0\0\0", '{"file":"000002.jpg"'])
def test_a_torn_last_line_is_left_out_with_a_warning(
    tmp_path: Path, rest: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = record(tmp_path / "recording", [0, 40])
    path = folder / INDEX_NAME
    path.write_text(path.read_text() + rest)
    assert len(read_all(replay(folder))) == 2
    assert f"{path}: the last line was cut short" in caplog.text


def test_a_last_line_without_its_end_counts_if_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = record(tmp_path / "recording", [0, 40])
    path = folder / INDEX_NAME
    path.write_text(path.read_text().rstrip("\n"))
    assert len(read_index(folder)) == 2
    assert not caplog.text


@pytest.mark.parametrize("content", ["", '{"file":"0'])
def test_a_recording_without_frames_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX_NAME).write_text(content)
    with pytest.raises(ConfigError, match="names no frames"):
        replay(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"frames\.jsonl: No such file"):
        replay(tmp_path)


def test_a_frame_cut_short_is_a_data_error_that_names_it(tmp_path: Path) -> None:
    folder = record(tmp_path / "recording", [0, 40])
    path = folder / "000002.jpg"
    path.write_bytes(path.read_bytes()[:-20])
    source = replay(folder)
    assert source.read() is not None
    with pytest.raises(DataError, match=r"000002\.jpg.*cut short"):
        source.read()


def test_a_recording_in_subfolders_can_be_made_by_hand(tmp_path: Path) -> None:
    record(tmp_path / "a b", [0])
    line = {"file": "a b/000001.jpg", "taken_ns": 5}
    (tmp_path / INDEX_NAME).write_text(json.dumps(line) + "\n")
    assert [frame.taken_ns for frame in read_all(replay(tmp_path))] == [5]


def test_recording_over_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("important")
    with pytest.raises(ConfigError, match="new or an empty folder"):
        RecordingWriter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_times_that_fall_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "recording") as writer:
        writer.append(even_picture(0), 10)
        with pytest.raises(DataError, match="expected a time from 10 on, got 9"):
            writer.append(even_picture(20), 9)
        writer.append(even_picture(40), 10)
    assert len(read_all(replay(tmp_path / "recording"))) == 2


def test_a_closed_recording_takes_no_frames(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "recording")
    writer.close()
    writer.close()
    with pytest.raises(DataError, match="it is closed"):
        writer.append(even_picture(0), 0)


def test_a_disk_that_is_full_for_a_while_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def half(descriptor: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[: len(content) - 10])

    with RecordingWriter(tmp_path / "recording") as writer:
        writer.append(even_picture(0), 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(OutputError, match="No space left"):
                writer.append(even_picture(20), 1)
        writer.append(even_picture(40), 2)
    brightness = [round(frame.pixels.mean()) for frame in read_all(replay(tmp_path / "recording"))]
    assert brightness == [0, 40]


def test_a_killed_recorder_leaves_a_recording_that_plays(tmp_path: Path) -> None:
    code = (
        "import itertools, sys; from pathlib import Path; import numpy as np\n"
        "from linegate_runtime.recording import RecordingWriter\n"
        "writer = RecordingWriter(Path(sys.argv[1]))\n"
        "for number in itertools.count():\n"
        "    writer.append(np.full((48, 64, 3), number % 256, np.uint8), number)\n"
        "    print(number + 1, flush=True)\n"
    )
    folder = tmp_path / "recording"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                process.send_signal(signal.SIGKILL)
                break
        acknowledged = max([20, *(int(line) for line in process.stdout if line.endswith("\n"))])
    frames = read_all(replay(folder))
    assert len(frames) >= acknowledged
