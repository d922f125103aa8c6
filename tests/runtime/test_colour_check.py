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
from linegate_bundle.images import clear_colour, decode_image, encode_jpeg
from linegate_bundle.manifest import Manifest, Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import __version__
from linegate_runtime.cli import main
from linegate_runtime.colour_check import ColourCheck
from linegate_runtime.frame import Frame
from linegate_runtime.inspector import Inspector, Region
from linegate_runtime.judge import Judge, Stamp
from linegate_runtime.model import Model
from linegate_runtime.policy import VerdictOptions, line_policy
from linegate_runtime.reason import Reason
from linegate_runtime.record import Access, Record
from linegate_runtime.testing import MjpegServer
from linegate_runtime.triggers.fake import FakeOptions, FakeTrigger
from tests.runtime.live_support import even_picture
from tests.support import tiny_bundle, tiny_manifest

S = 1_000_000_000
GREY = even_picture(120)
COLOURED = np.full((48, 64, 3), (40, 80, 160), np.uint8)


def with_colour(coloured: bool | None) -> Manifest:
    manifest = tiny_manifest()
    provenance = msgspec.structs.replace(manifest.provenance, coloured=coloured)
    return msgspec.structs.replace(manifest, provenance=provenance)


def test_a_picture_is_coloured_grey_or_neither() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 256, (480, 640, 1), np.uint8), 3, axis=2)
    grey = cv2.GaussianBlur(grey, (0, 0), 3).view(np.uint8)
    grey = decode_image(encode_jpeg(grey, 60))
    assert clear_colour(grey) is False
    assert clear_colour(np.zeros((9, 7, 3), np.uint8)) is False
    coloured = grey.copy()
    coloured[200:220, 300:320] = (0, 60, 200)
    assert clear_colour(coloured) is None
    coloured[:, 300:360] = (0, 60, 200)
    assert clear_colour(coloured) is True


@pytest.mark.parametrize("light", [(1, 1, 1), (0.97, 1, 1.05), (0.85, 1, 1.1)])
def test_grey_things_before_a_colour_camera_are_not_coloured(
    light: tuple[float, float, float],
) -> None:
    rng = np.random.default_rng(0)
    things = rng.integers(30, 220, (24, 32, 1)).repeat(20, 0).repeat(20, 1) * np.array(light)
    seen = (things + rng.normal(0, 6.0, (480, 640, 3))).clip(0, 255).astype(np.uint8)
    assert clear_colour(seen) is not True


@pytest.mark.parametrize(("coloured", "other"), [(True, GREY), (False, COLOURED)])
def test_a_camera_of_the_other_kind_is_an_error_from_the_start(
    *, coloured: bool, other: UInt8Array
) -> None:
    one = ColourCheck(with_colour(coloured))
    assert not any(one.fits(other, number * S // 30) for number in range(90))
    with pytest.raises(ConfigError, match="as those that the model was trained on"):
        one.fits(other, 3 * S)
    slow = ColourCheck(with_colour(coloured))
    assert not any(slow.fits(other, number * S) for number in range(9))
    with pytest.raises(ConfigError, match="as those that the model was trained on"):
        slow.fits(other, 9 * S)


def test_a_camera_that_turns_grey_gives_no_votes_until_it_turns_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = ColourCheck(with_colour(coloured=True))
    assert one.fits(COLOURED, 0)
    assert one.fits(GREY, S - 1)  # between two looks
    assert not any(one.fits(GREY, S + number * S // 10) for number in range(300))
    assert 3 <= len(caplog.messages) <= 4
    assert "the camera gives grey ones" in caplog.text
    assert one.fits(COLOURED, 40 * S)


def test_a_bundle_that_came_while_the_line_runs_does_not_end_it() -> None:
    one = ColourCheck(with_colour(None))
    assert one.fits(GREY, 0)
    one.exchange(with_colour(coloured=True))
    assert not any(one.fits(GREY, number * S // 10) for number in range(100))


@pytest.mark.parametrize("coloured", [None, True, False])
def test_what_is_neither_fits(coloured: bool | None) -> None:
    tinted = GREY + np.array([0, 4, 8], np.uint8)
    one = ColourCheck(with_colour(coloured))
    assert all(one.fits(tinted.view(np.uint8), number * S) for number in range(20))
    assert one.shows is None


@pytest.fixture
def coloured_bundle(tmp_path: Path) -> Path:
    return bundle_with(tmp_path, coloured=True)


def bundle_with(folder: Path, *, coloured: bool | None) -> Path:
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
        either, grey, coloured = (
            judge_for(stack, tmp_path, coloured=one) for one in (None, False, True)
        )
        region = Region("", FakeTrigger(FakeOptions(script=(1, 2))))
        inspector = Inspector(coloured, [region], clock=lambda: 0)
        assert inspector.objection(grey) is None  # nothing is known yet
        inspector.inspect(Frame(number=1, monotonic_ns=0, taken_ns=0, pixels=COLOURED))
        for _ in range(2):
            assert [inspector.objection(one) for one in (either, coloured)] == [None, None]
            objection = inspector.objection(grey)
            assert objection is not None
            assert "expected pictures in grey" in objection
            inspector.use(either)


def test_pictures_that_do_not_fit_are_no_votes(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        judge = judge_for(stack, tmp_path, coloured=True)
        region = Region("", FakeTrigger(FakeOptions(script=(1, 0))))
        inspector = Inspector(judge, [region], clock=lambda: 0)
        inspector.inspect(Frame(number=1, monotonic_ns=0, taken_ns=0, pixels=GREY))
        last = Frame(number=2, monotonic_ns=1, taken_ns=1, pixels=GREY)
        (judgement,) = inspector.inspect(last).judgements
    assert judgement.decided.verdict is Verdict.REJECT
    assert judgement.decided.reason is Reason.UNSEEN


def judge_for(stack: contextlib.ExitStack, folder: Path, *, coloured: bool | None) -> Judge:
    path = bundle_with(folder, coloured=coloured)
    bundle = stack.enter_context(Bundle.open(path, __version__))
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
        rows = [one.row for one in opened.rows()]
    assert rows
    assert {row.verdict for row in rows} == {Verdict.REJECT}


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
