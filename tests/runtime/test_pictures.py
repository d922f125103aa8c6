"""Pictures of parts: which are kept, for how long, and what happens without room."""

from pathlib import Path

import cv2
import msgspec
import pytest

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.pictures import Pictures
from tests.disk import room_for
from tests.runtime.live_support import even_picture, wait_until
from tests.runtime.sink_support import recorded


def judged(part: int, verdict: Verdict) -> PartRow:
    return msgspec.structs.replace(recorded(part).row, verdict=verdict)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))


def test_rejected_and_unsure_parts_are_kept_and_accepted_ones_by_chance(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "p", most_bytes=10_000_000, accepted_share=0.0)
    names = []
    for part, verdict in enumerate((Verdict.ACCEPT, Verdict.REJECT, Verdict.UNSURE), 1):
        names.append(pictures.offer(judged(part, verdict), even_picture(80 + part)))
    pictures.close()
    assert names[0] is None
    assert files(tmp_path / "p") == sorted(name for name in names if name)
    read = cv2.imread(str(tmp_path / "p" / str(names[1])))
    assert read is not None
    assert abs(int(read[0, 0, 0]) - 82) <= 2


def test_all_accepted_parts_are_kept_where_that_is_wanted(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, most_bytes=10_000_000, accepted_share=1.0)
    name = pictures.offer(judged(1, Verdict.ACCEPT), even_picture(80))
    pictures.close()
    assert name == "2026-01-01/000001000-accept-00000000-0000-4000-8000-000000000001.jpg"
    assert files(tmp_path) == [name]


def test_the_oldest_go_when_the_budget_is_used_up_also_those_of_earlier_runs(
    tmp_path: Path,
) -> None:
    size = 0
    for run in range(3):
        pictures = Pictures(
            tmp_path, most_bytes=max(1, 5 * size) if size else 10**6, accepted_share=0
        )
        for part in range(4):
            assert pictures.offer(judged(10 * run + part, Verdict.REJECT), even_picture(90))
            assert wait_until(pictures._queue.empty)
        pictures.close()
        size = size or (tmp_path / files(tmp_path)[0]).stat().st_size
    assert [name.split("-")[2].split("/")[1][-5:-3] for name in files(tmp_path)] == [
        "13",
        "20",
        "21",
        "22",
        "23",
    ]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01").mkdir()
    other = tmp_path / "2026-01-01" / "holiday.jpg"
    other.write_bytes(b"x" * 1000)
    pictures = Pictures(tmp_path, most_bytes=1, accepted_share=0)
    pictures.offer(judged(1, Verdict.REJECT), even_picture(90))
    pictures.offer(judged(2, Verdict.REJECT), even_picture(90))
    pictures.close()
    assert other.exists()


def test_a_disk_without_room_is_said_and_leaves_nothing_half_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = Pictures(tmp_path, most_bytes=10**7, accepted_share=0)
    with room_for(10):
        pictures.offer(judged(1, Verdict.REJECT), even_picture(90))
        assert wait_until(lambda: pictures.problem is not None)
    pictures.offer(judged(2, Verdict.REJECT), even_picture(90))
    assert wait_until(lambda: pictures.problem is None)
    pictures.close()
    assert "pictures cannot be kept" in caplog.text
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".jpg"]


def test_a_folder_that_cannot_be_made_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="pictures cannot be kept there"):
        Pictures(tmp_path / "file" / "p", most_bytes=1, accepted_share=0)
