"""The demo: every step of the line, on real solar cells, as a user would take it.

This is the one place of the training package that knows the device's side, and it
knows only its command and its simulated camera.
"""

import dataclasses
import importlib.metadata
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from linegate_bundle.atomic import write_atomic
from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import decide_part
from linegate_bundle.errors import ConfigError
from linegate_bundle.images import encode_png
from linegate_bundle.manifest import Manifest, Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import Part, RunFolder, read_split
from linegate_training.demo import device, elpv
from linegate_training.demo.live import LiveResult, Shown, run_live
from linegate_training.demo.process import command_beside, read, run, workstation_command
from linegate_training.demo.sheet import write_sheet
from linegate_training.demo.steps import Steps
from linegate_training.demo.summary import DeviceFigures, Files, Summary, test_figures

NAME = "solar-cells"
VERSION = "1.0.0"
_BLOCK = 40
"""Cells that follow each other in the set come from the same modules; blocks stand in for them."""
_VARIANTS = 2
_EPOCHS = 5
"""Less than `linegate train` does by itself, so that the demo stays within ten minutes."""
_CELL = "300x300"
_BELT_SEED = 0

_TRAINING = [
    f"linegate_training.{name}"
    for name in ("data", "fitting", "networks", "options", "run", "run_writer", "weights")
]
_DEVICE_CODE = ["linegate_runtime"]


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """Options of ``linegate demo``.

    Attributes:
        out: folder for everything that the demo makes.
        device_python: Python of the environment that plays the device.
        parts: how many cells travel past the camera.
        fresh: forget what is done already.
    """

    out: Path
    device_python: Path
    parts: int
    fresh: bool


class _Offline(msgspec.Struct, frozen=True):
    path: str
    verdict: Verdict
    probabilities: dict[str, float]


def run_demo(options: DemoOptions) -> Summary:
    """Run all steps that are not done yet, and write ``summary.json``.

    Raises:
        ConfigError: an option makes no sense.
        LinegateError: a step failed; the message says which and why.
    """
    if options.parts < 1:
        raise ConfigError(f"expected at least one part, got --parts {options.parts}")
    command_beside(options.device_python)
    if options.fresh:
        shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    return _Demo(options).run()


class _Demo:
    def __init__(self, options: DemoOptions) -> None:
        out = options.out
        self._options = options
        self._steps = Steps(out / "steps.json")
        self._workstation = str(workstation_command())
        self._device = str(command_beside(options.device_python))
        self._photographs = out / "photographs"
        self._run_folder = out / "run"
        self._bundle = out / "bundle" / f"{NAME}-{VERSION}.linegate"
        self._report = out / "bundle" / f"{NAME}-{VERSION}.report.html"
        self._record = out / "parts.sqlite"
        self._sheet = out / "verdicts.png"

    def run(self) -> Summary:
        """Do the steps in order."""
        self._lay_out()
        self._train()
        self._export()
        self._verify()
        live = self._inspect_live()
        summary = Summary(
            test=test_figures(self._manifest()),
            live=live.figures,
            device=self._device_figures(live),
            seconds=dict(self._steps.seconds),
            files=Files(
                bundle=str(self._bundle),
                report=str(self._report),
                record=str(self._record),
                verdicts=str(self._sheet),
            ),
        )
        content = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        write_atomic(self._options.out / "summary.json", content + b"\n")
        return summary

    def _lay_out(self) -> None:
        def action() -> None:
            elpv.lay_out(self._photographs)

        self._steps.run(
            "photographs",
            "laying out the photographs, one folder a class",
            action,
            type(None),
            code=["linegate_training.demo.elpv"],
            options=None,
            outputs=[self._photographs],
        )

    def _train(self) -> None:
        arguments = [
            "train", str(self._photographs), "--out", str(self._run_folder), "--name", NAME,
            "--network", "efficientnet_lite0", "--weights", "imagenet",
            "--good", "functional", "--group-block", str(_BLOCK),
            "--variants", str(_VARIANTS), "--epochs", str(_EPOCHS),
            "--cache", str(self._options.out / "cache"), "--force",
        ]  # fmt: skip
        self._steps.run(
            "train",
            "training EfficientNet-Lite0: head first, then the last blocks",
            lambda: run([self._workstation, *arguments]),
            type(None),
            code=[*_TRAINING, "linegate_bundle"],
            options=arguments,
            outputs=[self._run_folder],
        )

    def _export(self) -> None:
        arguments = [
            "export", str(self._run_folder), "--out", str(self._bundle.parent),
            "--version", VERSION, "--force",
        ]  # fmt: skip
        self._steps.run(
            "export",
            "exporting int8 TFLite and int8 ONNX through the accuracy gate",
            lambda: run([self._workstation, *arguments]),
            type(None),
            code=["linegate_export", "linegate_runtime.backends"],
            options=arguments,
            outputs=[self._bundle, self._report],
        )

    def _verify(self) -> None:
        self._steps.run(
            "verify",
            "verifying the bundle in the device's environment",
            lambda: run([self._device, "verify", str(self._bundle)]),
            type(None),
            code=_DEVICE_CODE,
            options=None,
            outputs=[],
        )

    def _inspect_live(self) -> LiveResult:
        return self._steps.run(
            "live",
            f"inspecting {self._options.parts} held-out cells on a belt, live",
            self._run_live,
            LiveResult,
            code=[*_DEVICE_CODE, "linegate_training.demo.live"],
            options=[self._options.parts, str(self._options.device_python)],
            outputs=[self._record, self._sheet],
        )

    def _run_live(self) -> LiveResult:
        parts = self._held_out()
        for path in self._record.parent.glob(self._record.name + "*"):
            path.unlink()
        empty = self._options.out / "empty_belt.png"
        command = [
            self._device, "run", str(self._bundle), "--trigger", "presence",
            "--empty", str(empty), "--part-size", _CELL, "--record", str(self._record),
        ]  # fmt: skip
        result = run_live(command, parts, empty, self._judge_offline)
        write_sheet(self._sheet, parts, result.verdicts)
        return result

    def _held_out(self) -> list[Shown]:
        """Draw cells of the test part, in random order, with their verdicts from disk."""
        rows = [
            row for row in read_split(RunFolder(self._run_folder).split) if row.part is Part.TEST
        ]
        if len(rows) < self._options.parts:
            raise ConfigError(f"expected at most {len(rows)} parts, got {self._options.parts}")
        order = np.random.default_rng(_BELT_SEED).permutation(len(rows))
        chosen = [rows[index] for index in order[: self._options.parts]]
        paths = [self._photographs / row.path for row in chosen]
        output = read([self._device, "classify", str(self._bundle), *map(str, paths), "--json"])
        lines = [msgspec.json.decode(line, type=_Offline) for line in output.splitlines()]
        offline = {line.path: line.verdict for line in lines}
        roles = {label.name: label.role for label in self._manifest().labels}
        return [
            Shown(path=path, role=roles[row.label], offline=offline[str(path)])
            for path, row in zip(paths, chosen, strict=True)
        ]

    def _judge_offline(self, parts: Sequence[Sequence[UInt8Array]]) -> list[Verdict]:
        """Let the device classify pictures of each part, and vote as the policy says."""
        manifest = self._manifest()
        with tempfile.TemporaryDirectory() as name:
            for number, pictures in enumerate(parts):
                for place, picture in enumerate(pictures):
                    path = Path(name) / f"{number:04}-{place:04}.png"
                    path.write_bytes(encode_png(picture, compression=0))
            output = read([self._device, "classify", str(self._bundle), name, "--json"])
        lines = [msgspec.json.decode(line, type=_Offline) for line in output.splitlines()]
        given = iter([tuple(one.probabilities[label.name] for label in manifest.labels)
                      for one in lines])  # fmt: skip
        votes = [[next(given) for _ in pictures] for pictures in parts]
        return [decide_part(vote, manifest.labels, manifest.policy).verdict for vote in votes]

    def _manifest(self) -> Manifest:
        runtime_version = importlib.metadata.version("linegate-runtime")
        with Bundle.open(self._bundle, runtime_version) as bundle:
            return bundle.manifest

    def _device_figures(self, live: LiveResult) -> DeviceFigures:
        packages = device.site_packages(self._options.device_python)
        return DeviceFigures(
            site_packages_mb=device.folder_size(packages) / 1e6,
            tensorflow=any(packages.glob("tensorflow*")),
            peak_memory_mb=live.peak_memory_mb,
        )
