"""Bundles for timing: a public architecture, converted by the exporter, untrained.

Weights change no time, so none are needed: MobileNetV2 (Sandler et al. 2018) with two
labels, at 224 and at 96 pixels, and at 96 in 0.35 of its width, the smallest published.
"""

import dataclasses
import os
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.errors import BundleError
from linegate_bundle.manifest import (
    Colour,
    DecisionPolicy,
    Fit,
    ModelEntry,
    PreprocessSpec,
    Resize,
    VoteMethod,
    VotePolicy,
)
from linegate_runtime import __version__
from linegate_runtime.backends import BACKENDS
from tests.benchmarks.bench import FOLDER
from tests.support import GOOD_AND_BRIGHT, tiny_manifest

_CALIBRATION_PICTURES = 8


@dataclasses.dataclass(frozen=True)
class SpeedNet:
    """A network to time.

    Attributes:
        key: for files and figures.
        side: width and height of the input in pixels.
        alpha: width multiplier.
    """

    key: str
    side: int
    alpha: float


NETS = (
    SpeedNet("96", 96, 1.0),
    SpeedNet("224", 224, 1.0),
    SpeedNet("96_narrow", 96, 0.35),
)

LARGEST = NETS[1]


def bundle_of(net: SpeedNet, vote_frames: int = 1, folder: Path = FOLDER / "speed") -> Path:
    """Return the bundle of a network, made if it is not there or of an older schema."""
    path = folder / f"mobilenet-v2-{net.side}-{net.alpha}-{vote_frames}.linegate"
    try:
        Bundle.open(path, __version__).close()
    except BundleError:
        folder.mkdir(parents=True, exist_ok=True)
        _make(net, vote_frames, path)
    return path


def _make(net: SpeedNet, vote_frames: int, path: Path) -> None:
    spec = PreprocessSpec(
        colour=Colour.RGB,
        region=None,
        width=net.side,
        height=net.side,
        resize=Resize.ROWS_EXACT,
        fit=Fit.STRETCH,
    )
    entries, members = _convert(net, spec)
    manifest = msgspec.structs.replace(
        tiny_manifest(),
        name=f"mobilenet-v2-{net.key}".replace("_", "-"),
        preprocess=spec,
        models=entries,
        policy=DecisionPolicy(
            accept_at_most=0.3,
            reject_at_least=0.7,
            vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=vote_frames, needed=None),
        ),
    )
    write_bundle(path, manifest, members)


def _convert(
    net: SpeedNet, spec: PreprocessSpec
) -> tuple[tuple[ModelEntry, ...], dict[str, bytes]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from linegate_bundle.run_folder import SplitRow
    from linegate_export import graph, onnx_int8, tflite_float32
    from linegate_export.saved_model import write_saved_model
    from linegate_training.networks.base import build_model
    from linegate_training.networks.registry import load_network
    from tests.export import nets

    keras.utils.set_random_seed(0)
    network = load_network("mobilenet_v2", net.alpha)
    model = build_model(network, spec.shape, len(GOOD_AND_BRIGHT))
    rows: list[SplitRow] = []
    with tempfile.TemporaryDirectory() as name:
        example = nets.write_run(Path(name) / "run", model, rows, Path(name), GOOD_AND_BRIGHT)
        record = msgspec.structs.replace(example.run.read_record(), preprocess=spec)
        deployable = graph.cut(model, record)
        write_saved_model(deployable, Path(name) / "saved")
        float32 = tflite_float32.convert(deployable, Path(name) / "saved")
        shape = (_CALIBRATION_PICTURES, *spec.shape)
        pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        tflite = nets.to_int8(deployable, float32, pictures)
        onnx = onnx_int8.convert(deployable, tflite)
    entries, members = [], {}
    for artifact in (tflite, onnx):
        entry = artifact.entry
        engine = BACKENDS.load(entry.format.value)(entry, artifact.content, 1).engine
        entries.append(artifact.checked_with(engine).entry)
        members[entry.file] = artifact.content
    return tuple(entries), members


if __name__ == "__main__":
    for each in NETS:
        print(bundle_of(each))  # noqa: T201
