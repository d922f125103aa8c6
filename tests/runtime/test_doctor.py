"""``linegate doctor``: what it prints and ends with, and what a browser and a folder get to see."""

import argparse
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from linegate_bundle.errors import OutputError
from linegate_bundle.images import encode_jpeg, read_image
from linegate_runtime.checkup.base import Subject
from linegate_runtime.commands.doctor_view import add_view
from linegate_runtime.geometry import Box
from linegate_runtime.setup_view.draw import RegionView, draw
from linegate_runtime.setup_view.server import Pictures, ViewServer
from linegate_runtime.testing import Belt, MjpegServer
from linegate_runtime.triggers import Observation, Sighting
from tests.runtime.live_support import (
    even_picture,
    grey_part,
    showing,
    wait_until,
    write_empty,
)
from tests.support import TINY_BUNDLE

LINEGATE = [sys.executable, "-m", "linegate_runtime"]


def belt() -> Belt:
    parts = [grey_part(60, 80) for _ in range(20)]
    return Belt(parts, speed_px=4, gap_px=60, width=320, height=240)


@contextmanager
def serving(pictures: Pictures, state: object = ()) -> Iterator[ViewServer]:
    with ViewServer("127.0.0.1", 0, pictures, lambda: state) as server:
        yield server


def get(port: int, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def test_the_page_the_state_and_the_pictures_are_served() -> None:
    pictures = Pictures(1)
    with serving(pictures, [{"name": "camera", "parts": 3}]) as server:
        status, page = get(server.port, "/")
        assert (status, b"<title>linegate: live view</title>" in page) == (200, True)
        assert json.loads(get(server.port, "/state.json")[1]) == [{"name": "camera", "parts": 3}]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/camera/0.mjpg")
        response = connection.getresponse()
        assert wait_until(lambda: pictures.is_wanted(0), 5)
        pictures.put(0, encode_jpeg(even_picture(90)))
        assert response.readline() == b"--linegate\r\n"
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/camera/1.mjpg",
        "/camera/x.mjpg",
        f"/camera/{'9' * 5000}.mjpg",
        "/etc/passwd",
        "/../x",
        "//[",
    ],
)
def test_there_is_nothing_else(path: str) -> None:
    with serving(Pictures(1)) as server:
        assert get(server.port, path)[0] == 404


def test_a_page_under_another_name_cannot_read_the_view() -> None:
    with serving(Pictures(1)) as server:
        assert get(server.port, "/state.json", "evil.example")[0] == 403
        assert get(server.port, "/state.json", "[")[0] == 403
        assert get(server.port, "/state.json", f"localhost:{server.port}")[0] == 200


def test_a_port_that_is_taken_is_said() -> None:
    with (
        serving(Pictures(1)) as server,
        pytest.raises(OutputError, match="choose another with --"),
    ):
        ViewServer("127.0.0.1", server.port, Pictures(1), list)


def test_what_is_drawn_is_the_region_what_was_noticed_and_the_parts() -> None:
    picture = even_picture(100, 320, 240)
    observation = Observation(
        sightings=(Sighting(7, Box(100, 100, 50, 50)),),
        noticed=(Box(10, 100, 40, 40),),
        state="a part is wholly in view",
    )
    drawn = draw(picture, [RegionView("left", Box(5, 5, 300, 200), observation)])
    assert drawn.shape == picture.shape
    assert (picture == 100).all()
    assert drawn[120, 5].tolist() == [255, 160, 0]
    assert drawn[120, 10].tolist() == [0, 190, 255]
    assert drawn[120, 100].tolist() == [60, 200, 60]


def doctor(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*LINEGATE, "doctor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with ViewServer("127.0.0.1", 0, Pictures(1), list) as server:
        return server.port


def test_a_browser_sees_the_camera_with_its_trigger(tmp_path: Path) -> None:
    moving = belt()
    port = free_port()
    with MjpegServer(lambda seconds: moving.frame(round(seconds * 30))) as camera:
        process = doctor(
            *("--camera", camera.address, "--empty", str(write_empty(moving, tmp_path))),
            *("--view", f"127.0.0.1:{port}", "--seconds", "40"),
        )
        states: list[dict[str, Any]] = []

        def has_seen_parts() -> bool:
            try:
                states[:] = json.loads(get(port, "/state.json")[1])
            except (OSError, ValueError):
                return False
            return bool(states and states[0]["parts"] >= 2)

        assert wait_until(has_seen_parts, 20)
        assert states[0]["size"] == [320, 240]
        assert states[0]["states"][0] in {"a part is wholly in view", "waiting for a part"}
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert f"the live view is at http://127.0.0.1:{port}/" in errors


def test_saved_pictures_can_be_played_again(tmp_path: Path, bundle_path: Path) -> None:
    moving = belt()
    folder = tmp_path / "saved"
    empty = write_empty(moving, tmp_path)
    with MjpegServer(lambda seconds: moving.frame(round(seconds * 30))) as camera:
        process = doctor(
            *("--camera", camera.address, "--empty", str(empty)),
            *("--save", str(folder), "--pictures", "60"),
        )
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    views = sorted(folder.glob("view-1-*.jpg"))
    assert len(views) == 60
    assert read_image(views[-1]).shape == (240, 320, 3)
    done = subprocess.run(
        [
            *(*LINEGATE, "run", str(bundle_path), "--engine", "fake", "--json"),
            *("--camera", str(folder / "camera-1"), "--empty", str(empty)),
            *("--record", str(tmp_path / "r.sqlite")),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert len(done.stdout.splitlines()) >= 2


def test_a_camera_that_gives_nothing_is_an_error_in_the_end() -> None:
    started = time.monotonic()
    process = doctor("--camera", "http://127.0.0.1:9/", "--seconds", "1.5", "--view", "127.0.0.1:0")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 5, errors
    assert "the camera gave no frame" in errors
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("option", ["--seconds", "--pictures"])
def test_options_of_the_view_without_it_are_no_checks(option: str) -> None:
    _, errors = (process := doctor(option, "3")).communicate(timeout=30)
    assert process.returncode == 4, errors
    assert "--seconds and --pictures belong to --view or --save" in errors


def test_a_region_outside_the_frame_is_said() -> None:
    process = doctor(
        *("--camera", "64x48@30", "--source", "fake", "--region", "0,0,65,48"),
        *("--view", f"127.0.0.1:{free_port()}", "--seconds", "10"),
    )
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "expected a region inside the frame of 64x48" in errors
    assert "Traceback" not in errors


def test_the_page_has_an_address_of_its_own_where_none_is_given() -> None:
    parser = argparse.ArgumentParser()
    add_view(parser)
    assert parser.parse_args(["--view"]).view == ("127.0.0.1", 8077)
    assert parser.parse_args([]).view is None
    with pytest.raises(SystemExit):
        parser.parse_args(["--view", "--save", "folder"])


def checked(*arguments: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    process = doctor("--json", *arguments)
    output, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    found: dict[str, list[dict[str, str]]] = {}
    for line in output.splitlines():
        finding = json.loads(line)
        assert finding.keys() == {"subject", "outcome", "detail", "advice"}
        found.setdefault(finding["subject"], []).append(finding)
    return process.returncode, found


def test_a_line_with_a_stream_and_a_bundle_is_in_order(tmp_path: Path) -> None:
    with MjpegServer(showing(120)) as camera:
        config = tmp_path / "line.toml"
        config.write_text(f'bundle = "{TINY_BUNDLE}"\n[camera]\naddress = "{camera.address}"\n')
        code, found = checked("--config", str(config))
    failed = [one for many in found.values() for one in many if one["outcome"] == "failed"]
    # Whether the machine is hot, full or has its clock set is its own business.
    machine = {"clock", "disk", "temperature", "throttling", "service", "python"}
    assert {one["subject"] for one in failed} <= machine
    assert (code == 0) is (not failed)
    assert found.keys() == {subject.value for subject in Subject}
    assert found["camera"][0]["outcome"] == "ok"
    assert "64x48" in found["camera"][0]["detail"]
    assert found["engine"][0]["detail"].endswith("runs tiny 1.0.0 with XNNPACK")


def test_a_dead_camera_ends_with_5_and_all_else_is_still_looked_at() -> None:
    code, found = checked("--camera", "http://127.0.0.1:9/")
    assert code == 5
    assert found["camera"][0]["outcome"] == "failed"
    assert "Connection refused" in found["camera"][0]["detail"]
    assert found.keys() == {subject.value for subject in Subject}


def test_all_mistakes_of_a_broken_file_are_one_finding_and_end_with_4(tmp_path: Path) -> None:
    config = tmp_path / "line.toml"
    config.write_text('[camera]\nadress = "0"\n[trigger]\nkind = "presense"\n')
    code, found = checked("--config", str(config))
    assert code == 4
    (finding,) = found["configuration"]
    for words in ("unknown key", "presense", "expected an address"):
        assert words in finding["detail"]
    assert found["camera"][0]["outcome"] == "warning"
    assert found["engine"][0]["outcome"] == "ok"


def test_a_bundle_that_is_none_ends_with_6(tmp_path: Path) -> None:
    (tmp_path / "none.linegate").write_text("no bundle")
    code, found = checked("--bundle", str(tmp_path / "none.linegate"))
    assert code == 6
    assert found["engine"][0]["outcome"] == "failed"


def test_people_get_a_line_a_check_with_what_to_do() -> None:
    process = doctor()
    output, _ = process.communicate(timeout=120)
    lines = output.splitlines()
    assert lines[0].startswith("ok      python        Python 3.")
    camera = next(line for line in lines if "camera " in line[8:])
    assert camera == (
        "warning camera        no camera is configured -> give --camera ADDRESS or --config FILE"
    )
