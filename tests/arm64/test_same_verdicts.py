"""Models answer on an emulated ARM board as on x86."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.bundle import Bundle
from tests.arm64.guest import Guest
from tests.support import TINY_BUNDLE

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1200)]

SCRIPT = Path(__file__).with_name("answers.py")
ENGINES = ("tflite", "onnx")

ALIKE = 0.995
"""Share of the pictures that onnxruntime must decide alike; ai-edge-litert: all."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """The same bundle and pictures on both sides.

    Attributes:
        device: sees both as ``/mnt/model.linegate`` and ``/mnt/pictures``.
        bundle: the file on this machine.
        pictures: the folder on this machine.
    """

    device: Guest
    bundle: Path
    pictures: Path

    def classify_here(self, engine: str) -> dict[str, dict[str, object]]:
        """Return what ``linegate classify`` says of each picture on this machine."""
        command = [sys.executable, "-m", "linegate_runtime", "classify", str(self.bundle)]
        return _by_name(_run([*command, str(self.pictures), "--json", "--engine", engine]))

    def classify_there(self, engine: str) -> dict[str, dict[str, object]]:
        """Return the same of the board."""
        return _by_name(
            self.device.run(
                *(self.device.python, "-m", "linegate_runtime", "classify", "/mnt/model.linegate"),
                *("/mnt/pictures", "--json", "--engine", engine),
            )
        )

    def logits(self) -> tuple[dict[str, dict[str, list[float]]], ...]:
        """Return the logits of each engine and picture here and on the board."""
        here = _run([sys.executable, str(SCRIPT), "logits", str(self.bundle), str(self.pictures)])
        there = self.device.run(
            self.device.python, "/mnt/answers.py", "logits", "/mnt/model.linegate", "/mnt/pictures"
        )
        return json.loads(here), json.loads(there)


@pytest.fixture(params=["trained", "tiny"], scope="module")
def sides(
    request: pytest.FixtureRequest, device: Guest, trained_bundle: Path, pictures: Path
) -> Sides:
    bundle = trained_bundle if request.param == "trained" else TINY_BUNDLE
    board = (
        device.seeing(bundle, Path("/mnt/model.linegate"))
        .seeing(pictures, Path("/mnt/pictures"))
        .seeing(SCRIPT, Path("/mnt/answers.py"))
    )
    return Sides(board, bundle, pictures)


def test_verify_passes_in_every_engine(sides: Sides) -> None:
    told = sides.device.run(
        sides.device.python, "-m", "linegate_runtime", "verify", "/mnt/model.linegate", "--json"
    )
    checks = [json.loads(line) for line in told.splitlines()]
    assert {check["outcome"] for check in checks} == {"ok"}
    details = " ".join(check["detail"] for check in checks)
    assert "golden frames answered as promised in ai-edge-litert" in details
    assert "golden frames answered as promised in onnxruntime" in details


def test_inspect_says_the_same(sides: Sides) -> None:
    words = ("-m", "linegate_runtime", "inspect", "--json")
    here = json.loads(_run([sys.executable, *words, str(sides.bundle)]))
    there = json.loads(sides.device.run(sides.device.python, *words, "/mnt/model.linegate"))
    assert here.pop("file") == str(sides.bundle)
    assert there.pop("file") == "/mnt/model.linegate"
    assert there == here


def test_logits_of_litert_are_the_same_and_of_onnxruntime_within_the_bundles_tolerance(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = sides.logits()
    assert len(here["tflite"]) >= 200
    for engine in ENGINES:
        assert here[engine].keys() == there[engine].keys()
    differences = {
        engine: np.array(
            [np.subtract(here[engine][name], there[engine][name]) for name in here[engine]]
        )
        for engine in ENGINES
    }
    allowed = _tolerance(sides.bundle, "onnx")
    largest = np.abs(differences["onnx"]).max()
    with capsys.disabled():
        other = np.any(differences["onnx"], axis=1).mean()
        print(  # noqa: T201 - to be read
            f"\n{sides.bundle.name} in onnxruntime: {other:.1%} of the pictures get other logits, "
            f"by {largest:.3g} at most; {allowed:.3g} are allowed"
        )
    assert not differences["tflite"].any()
    assert largest <= allowed


@pytest.mark.parametrize("engine", ENGINES)
def test_classify_gives_the_same_verdicts(sides: Sides, engine: str) -> None:
    here, there = sides.classify_here(engine), sides.classify_there(engine)
    assert here.keys() == there.keys()
    alike = [name for name in here if _decision(here[name]) == _decision(there[name])]
    if engine == "tflite":
        assert here == there
    assert len(alike) >= ALIKE * len(here)


def test_the_pictures_get_verdicts_of_more_than_one_kind(
    trained_bundle: Path, device: Guest, pictures: Path
) -> None:
    """Else the comparison would compare little."""
    here = Sides(device, trained_bundle, pictures).classify_here("tflite")
    assert len({entry["verdict"] for entry in here.values()}) > 1
    assert len({entry["label"] for entry in here.values()}) > 3


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def _by_name(lines: str) -> dict[str, dict[str, object]]:
    rows = [json.loads(line) for line in lines.splitlines()]
    return {Path(row.pop("path")).name: row for row in rows}


def _decision(row: dict[str, object]) -> tuple[object, object]:
    return row["verdict"], row["label"]


def _tolerance(bundle_path: Path, format_: str) -> float:
    """Return how far another processor's logits may lie from a bundle's golden ones."""
    with Bundle.open(bundle_path, "0.1.0") as bundle:
        manifest = bundle.manifest
    files = [entry.file for entry in manifest.models if entry.format == format_]
    return max(
        output.tolerance
        for frame in manifest.golden
        for output in frame.outputs
        if output.file in files
    )
