"""A colour camera before a model that learned from grey pictures, and the reverse."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.errors import ConfigError
from linegate_bundle.images import decode_image, encode_jpeg, shows_colour
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import __version__
from linegate_runtime.cli import main
from linegate_runtime.colour_check import ColourCheck, clear_colour
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.record import Access, Record
from linegate_runtime.testing import MjpegServer
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import even_picture
from tests.support import tiny_bundle, tiny_manifest

S = 1_000_000_000
GREY = even_picture(120)
COLOURED = np.full((48, 64, 3), (40, 80, 160), np.uint8)


def check(coloured: float | None) -> ColourCheck:
    manifest = tiny_manifest()
    provenance = msgspec.structs.replace(manifest.provenance, coloured=coloured)
    return ColourCheck(msgspec.structs.replace(manifest, provenance=provenance))


def test_noise_of_lossy_compression_is_no_colour_and_a_small_coloured_part_is() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 256, (480, 640, 1), np.uint8), 3, axis=2)
    grey = cv2.GaussianBlur(grey, (0, 0), 3).view(np.uint8)
    grey = decode_image(encode_jpeg(grey, 60))
    assert not shows_colour(grey)
    assert clear_colour(grey) is False
    coloured = grey.copy()
    coloured[200:260, 300:360] = (0, 60, 200)
    assert shows_colour(coloured)
    assert clear_colour(coloured) is None
    coloured[:, 300:360] = (0, 60, 200)
    assert clear_colour(coloured) is True


def test_grey_things_before_a_colour_camera_are_neither_grey_nor_coloured() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal((118, 120, 123), 2.0, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    assert shows_colour(seen)
    assert clear_colour(seen) is None
    for coloured in (0.0, 1.0):
        one = check(coloured)
        for number in range(30):
            one.look([seen], number * S)


@pytest.mark.parametrize(("coloured", "other"), [(1.0, GREY), (0.0, COLOURED)])
def test_pictures_of_the_other_kind_are_complained_about_when_they_go_on(
    coloured: float, other: UInt8Array
) -> None:
    fitting = GREY if other is COLOURED else COLOURED
    one = check(coloured)
    for _ in range(9):
        one.look([other], 0)
    one.look([fitting], 0)
    assert one.shows is (fitting is COLOURED)
    for number in range(9):
        one.look([other], S + number)
    with pytest.raises(ConfigError, match="as those that the model was trained on"):
        one.look([other], S + 9)


def test_between_looks_nothing_is_looked_at() -> None:
    one = check(1.0)
    one.look([COLOURED], 0)
    for _ in range(100):
        one.look([GREY], S - 1)
    assert one.shows is True


@pytest.mark.parametrize("coloured", [None, 0.5, 0.95])
def test_a_model_that_knows_both_takes_both(coloured: float | None) -> None:
    one = check(coloured)
    for number in range(20):
        one.look([GREY if number % 2 else COLOURED], number * S)
    assert one.shows is False


@pytest.fixture
def coloured_bundle(tmp_path: Path) -> Path:
    return with_share(tmp_path, 1.0)


def with_share(folder: Path, coloured: float) -> Path:
    path = tiny_bundle(folder / f"plain-{coloured}.linegate", vote_frames=1)
    with Bundle.open(path, __version__) as bundle:
        manifest = bundle.manifest
        members = {name: bundle.read(name) for name in manifest.members}
    provenance = msgspec.structs.replace(manifest.provenance, coloured=coloured)
    made = folder / f"bundle-{coloured}.linegate"
    write_bundle(made, msgspec.structs.replace(manifest, provenance=provenance), members)
    return made


@pytest.fixture
def grey_camera() -> Iterator[str]:
    def show(seconds: float) -> UInt8Array:
        return even_picture(100 + int(seconds * 30) % 100)

    with MjpegServer(show, fps=30) as camera:
        yield camera.address


def test_another_bundle_is_refused_for_the_colour_that_the_camera_shows(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        judges = [judge_for(stack, tmp_path, coloured) for coloured in (0.5, 0.0, 1.0)]
        region = Region("", FakeTrigger(FakeOptions(script=(1, 2))))
        inspector = Inspector(judges[0], [region], clock=lambda: 0)
        assert [inspector.objection(judge) for judge in judges] == [None, None, None]
        inspector.inspect(Frame(number=1, monotonic_ns=0, taken_ns=0, pixels=COLOURED))
        objections = [inspector.objection(judge) for judge in judges]
    assert [objections[0], objections[2]] == [None, None]
    assert objections[1] is not None
    assert "expected pictures in grey" in objections[1]


def judge_for(stack: contextlib.ExitStack, folder: Path, coloured: float) -> Judge:
    bundle = stack.enter_context(Bundle.open(with_share(folder, coloured), __version__))
    model = stack.enter_context(Model.open(bundle, "fake"))
    policy = line_policy(bundle.manifest, VerdictOptions())
    return Judge(model, policy, Stamp.of("a run", bundle, policy.origin))


def test_a_line_does_not_go_on_before_a_camera_of_the_other_kind(
    tmp_path: Path, coloured_bundle: Path, grey_camera: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "r.sqlite"
    arguments = [str(coloured_bundle), "--camera", grey_camera, "--trigger", "continuous"]
    arguments += ["--engine", "fake", "--record", str(record), "--seconds", "20"]
    assert main(["run", *arguments]) == ConfigError.exit_code
    assert "expected pictures in colour as those that the model" in capsys.readouterr().err
    with Record(record, Access.READ) as opened:
        assert len(list(opened.rows())) <= 10


def test_pictures_from_disk_of_the_other_kind_are_counted(
    tmp_path: Path, coloured_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {"grey": GREY, "coloured": COLOURED, "tinted": GREY + np.array([0, 4, 8], np.uint8)}
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    paths = [str(tmp_path / f"{name}.png") for name in pictures]
    assert main(["classify", str(coloured_bundle), *paths, "--engine", "fake", "--json"]) == 0
    told = capsys.readouterr()
    assert len([json.loads(line) for line in told.out.splitlines()]) == 3
    assert "1 of them are grey ones" in told.err
