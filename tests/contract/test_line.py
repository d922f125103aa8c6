"""The whole line, end to end, with a tiny net: photographs in, live verdicts out.

Every step is the command that a user types, in a process of its own; the camera is
a real stream on this machine.
"""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.testing.belt import Belt
from linegate_runtime.testing.mjpeg_server import MjpegServer

SIDE = 96
IMAGES_A_CLASS = 80
PARTS = 12
TIMEOUT_S = 150


def part(rng: np.random.Generator, *, defective: bool) -> UInt8Array:
    """Draw a grey plate with two screws; a defective one has a dark scratch across."""
    picture = rng.normal(150, 6, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    for centre in ((20, 20), (SIDE - 20, SIDE - 20)):
        cv2.circle(picture, centre, 8, 200, cv2.FILLED, cv2.LINE_AA)
    if defective:
        y, x = rng.integers(30, SIDE - 30, 2)
        angle = rng.uniform(0, np.pi)
        reach = (np.array([np.cos(angle), np.sin(angle)]) * 22).astype(int)
        start, end = (int(x - reach[0]), int(y - reach[1])), (int(x + reach[0]), int(y + reach[1]))
        cv2.line(picture, start, end, 50, 5, cv2.LINE_AA)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR).view(np.uint8)


def linegate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "linegate_runtime", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


def succeed(*arguments: object) -> str:
    done = linegate(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(1)
    for name in ("ok", "scratched"):
        (folder / name).mkdir()
        for index in range(IMAGES_A_CLASS):
            picture = part(rng, defective=name == "scratched")
            cv2.imwrite(str(folder / name / f"{index:03}.png"), picture)
    return folder


@pytest.fixture(scope="module")
def run_folder(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "run"
    succeed(
        "train", photographs, "--out", folder, "--name", "plates", "--network", "basic_cnn",
        "--size", 32, "--epochs", 20, "--seed", 3,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def bundle(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    # So few test pictures cannot prove what the gate asks for by default.
    succeed(
        "export", run_folder, "--out", folder, "--vote-frames", 3,
        "--max-accuracy-loss", 0.1, "--max-new-escapes", 0.2,
    )  # fmt: skip
    return folder / "plates-1.0.0.linegate"


def test_the_bundle_says_what_was_measured(bundle: Path) -> None:
    manifest = json.loads(succeed("inspect", bundle, "--json"))["manifest"]
    assert {label["name"]: label["role"] for label in manifest["labels"]} == {
        "ok": "good",
        "scratched": "defect",
    }
    accuracy = manifest["accuracy"]
    assert accuracy["images"] == manifest["provenance"]["images"]["test"]
    assert {artifact["artifact"] for artifact in accuracy["artifacts"]} == {
        "model.int8.tflite",
        "model.int8.onnx",
    }
    assert all(artifact["accuracy"] >= 0.9 for artifact in accuracy["artifacts"])


def test_the_int8_graphs_take_the_bytes_of_the_pixels(bundle: Path) -> None:
    manifest = json.loads(succeed("inspect", bundle, "--json"))["manifest"]
    assert {
        model["format"]: (model["input"]["dtype"], model["input"]["quantization"]["zero_point"])
        for model in manifest["models"]
    } == {"tflite": ("int8", -128), "onnx": ("uint8", 0)}


def test_too_few_test_pictures_are_refused_with_their_number(
    run_folder: Path, tmp_path: Path
) -> None:
    done = linegate("export", run_folder, "--out", tmp_path)
    assert done.returncode == 10
    assert "cannot rule that out, even without any difference: it takes 199;" in done.stderr
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".json"}


def test_the_bundle_verifies_in_both_formats(bundle: Path) -> None:
    checks = [json.loads(line) for line in succeed("verify", bundle, "--json").splitlines()]
    assert {check["outcome"] for check in checks} == {"ok"}
    assert {"model.int8.tflite", "model.int8.onnx"} <= {check["subject"] for check in checks}


def test_every_part_on_the_belt_gets_the_verdict_that_it_gets_offline(
    bundle: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    truth = [bool(rng.integers(2)) for _ in range(PARTS)]
    parts = [part(rng, defective=defective) for defective in truth]
    paths = [tmp_path / f"{index:02}.png" for index in range(PARTS)]
    for path, picture in zip(paths, parts, strict=True):
        cv2.imwrite(str(path), picture)
    offline = [
        json.loads(line)["verdict"]
        for line in succeed("classify", bundle, *paths, "--json").splitlines()
    ]

    belt = Belt(parts, speed_px=12, gap_px=90, width=320, height=240, lead_px=-60)
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), belt.empty())
    record = tmp_path / "parts.sqlite"
    with MjpegServer(lambda seconds: belt.frame(round(seconds * 30)), fps=30) as camera:
        lines = succeed(
            "run", bundle, "--camera", camera.address, "--empty", empty,
            "--part-size", f"{SIDE}x{SIDE}", "--record", record, "--parts", PARTS,
            "--seconds", 60, "--json",
        ).splitlines()  # fmt: skip

    live = [json.loads(line)["verdict"] for line in lines]
    assert live == offline
    right = [
        verdict == ("reject" if defective else "accept")
        for verdict, defective in zip(live, truth, strict=True)
    ]
    assert sum(right) >= PARTS - 2
    with sqlite3.connect(record) as database:
        rows = database.execute(
            "SELECT part, verdict, label, probabilities, frame_age_ms, model_ms, bundle_version, "
            "time_utc FROM parts ORDER BY part"
        ).fetchall()
    database.close()
    assert [row[0] for row in rows] == list(range(1, PARTS + 1))
    assert [row[1] for row in rows] == live
    for row in rows:
        assert sum(json.loads(row[3]).values()) == pytest.approx(1)
        assert 0 < row[5] < row[4] < 1000
        assert row[6] == "1.0.0"


def test_a_bundle_altered_by_one_bit_never_judges_a_part(bundle: Path, tmp_path: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 3] ^= 1
    altered = tmp_path / "altered.linegate"
    altered.write_bytes(content)
    done = linegate(
        "run", altered, "--camera", "http://127.0.0.1:9/", "--record", tmp_path / "parts.sqlite"
    )
    assert done.returncode == 3
    assert "the file is damaged" in done.stderr
    assert not (tmp_path / "parts.sqlite").exists()
