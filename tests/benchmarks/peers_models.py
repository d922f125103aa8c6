"""What the peers are timed on: a small task, one network for it in every format, and frames.

The networks of ``speed_bundles.py`` say 0.5 to every frame, so nobody would notice a peer that
is fed with swapped colours. These have the same layers and have been taught a little: a frame
is the more defective the bluer it is. Frames are accepted, unsure and rejected, and weights
change no time.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.manifest import (
    LOGITS,
    Activation,
    Manifest,
    ModelEntry,
    PreprocessSpec,
    Quantization,
)
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_runtime import __version__
from linegate_runtime.backends import BACKENDS
from tests.benchmarks import peers_files as files
from tests.benchmarks.speed_bundles import SpeedNet, bundle_of
from tests.support import GOOD_AND_BRIGHT

if TYPE_CHECKING:
    from linegate_export.conversion import Artifact

_SIZE = (480, 640, 3)
_ENTRIES = "entries.json"
_TAUGHT, _TEACHING_SEED, _COMPARED_SEED, _NOISE_SEED = 192, 1, 2, 3
_CALIBRATED = 24
_STEPS, _BATCH, _RATE = 120, 8, 2e-3
_MOMENTUM = 0.8
_BLUEST_LOGIT = 4.0


def write_frames(folder: Path) -> None:
    """Write the frames that all networks are shown."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn, _ = _draw_frames(files.COMPARED, _COMPARED_SEED)
    rng = np.random.default_rng(_NOISE_SEED)
    noise = rng.integers(0, 256, (files.NOISE, *_SIZE), np.uint8)
    np.save(folder / files.FRAMES, np.concatenate([drawn, noise]))


def write_models(net: SpeedNet, folder: Path) -> None:
    """Write the network in every format that a peer reads; models that are there are kept."""
    with Bundle.open(bundle_of(net), __version__) as speed:
        manifest = speed.manifest
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _ENTRIES).exists():
        _make(net, manifest.preprocess, folder)
    entries = msgspec.json.decode((folder / _ENTRIES).read_bytes(), type=tuple[ModelEntry, ...])
    members = {entry.file: (folder / entry.file).read_bytes() for entry in entries}
    manifest = msgspec.structs.replace(manifest, models=entries)
    write_bundle(folder / files.BUNDLE, manifest, members)
    files.write_facts(folder, _facts(manifest))
    drawn, _ = _draw_frames(files.COMPARED, _COMPARED_SEED)
    small = Preprocessor(manifest.preprocess)
    np.save(folder / files.PIXELS, np.stack([small(frame)[..., ::-1] for frame in drawn]))


def _facts(manifest: Manifest) -> files.Facts:
    tflite, onnx = (_quantization_of_logits(entry) for entry in manifest.models)
    return files.Facts(
        side=manifest.preprocess.width,
        defect=manifest.labels[1].name,
        accept_at_most=manifest.policy.accept_at_most,
        reject_at_least=manifest.policy.reject_at_least,
        tflite_scale=tflite.scale,
        tflite_zero_point=tflite.zero_point,
        onnx_scale=onnx.scale,
        onnx_zero_point=onnx.zero_point,
    )


def _quantization_of_logits(entry: ModelEntry) -> Quantization:
    (found,) = [tensor.quantization for tensor in entry.outputs if tensor.name == LOGITS]
    if found is None:
        raise ValueError(f"expected {entry.file} to be quantized")
    return found


def _draw_frames(count: int, seed: int) -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """Draw BGR frames, and tell how blue each is, from -1 to 1."""
    rng = np.random.default_rng(seed)
    blue = np.linspace(-1, 1, count)[rng.permutation(count)]
    return np.stack([_draw(rng, float(one)) for one in blue]), blue


def _draw(rng: np.random.Generator, blue: float) -> UInt8Array:
    """Draw a disc on a sloping ground, soft enough that all resizing gives much the same."""
    height, width, _ = _SIZE
    left, right = rng.uniform(-40, 40, 2)
    slope = np.linspace(left, right, width)[np.newaxis, :, np.newaxis]
    tint = 60 * blue * np.array([1.0, 0.0, -1.0])
    frame = np.clip(128 + slope + tint + np.zeros(_SIZE), 0, 255).astype(np.uint8)
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    grey = int(rng.integers(60, 200))
    cv2.circle(frame, centre, int(rng.integers(30, 120)), (grey, grey, grey), cv2.FILLED)
    noisy = np.clip(frame + rng.normal(0, 6, _SIZE), 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noisy, (9, 9), 0), np.uint8)


def _make(net: SpeedNet, spec: PreprocessSpec, folder: Path) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    frames, blue = _draw_frames(_TAUGHT, _TEACHING_SEED)
    preprocess = Preprocessor(spec)
    pixels = np.stack([preprocess(frame) for frame in frames])
    model = _teach(net, spec, pixels, blue)
    tflite, onnx = _convert(model, spec, pixels[:_CALIBRATED], folder)
    entries = []
    for artifact in (tflite, onnx):
        entry = artifact.entry
        engine = BACKENDS.load(entry.format.value)(entry, artifact.content, 1).engine
        entries.append(artifact.checked_with(engine).entry)
        (folder / entry.file).write_bytes(artifact.content)
    (folder / _ENTRIES).write_bytes(msgspec.json.encode(tuple(entries)))


def _teach(
    net: SpeedNet, spec: PreprocessSpec, pixels: UInt8Array, blue: npt.NDArray[np.float64]
) -> Any:
    import keras

    from linegate_training.networks.base import LOGITS, build_model
    from linegate_training.networks.registry import load_network

    keras.utils.set_random_seed(0)
    model = build_model(load_network("mobilenet_v2", net.alpha), spec.shape, len(GOOD_AND_BRIGHT))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    taught = keras.Model(model.input, model.get_layer(LOGITS).output)
    rate = keras.optimizers.schedules.CosineDecay(_RATE, _STEPS)
    # Compiling takes longer than it saves.
    taught.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    chosen = np.random.default_rng(0).integers(0, len(pixels), _STEPS * _BATCH)
    taught.fit(pixels[chosen].astype(np.float32), _BLUEST_LOGIT * blue[chosen], _BATCH, verbose=0)
    return model


def _convert(
    model: Any, spec: PreprocessSpec, pixels: UInt8Array, folder: Path
) -> tuple["Artifact", "Artifact"]:
    """Return both int8 models; write the others."""
    from linegate_export import graph, onnx_float32, onnx_int8, tflite_float32, tflite_interop
    from linegate_export.saved_model import write_saved_model
    from tests.export import nets

    with tempfile.TemporaryDirectory() as name:
        example = nets.write_run(Path(name) / "run", model, [], Path(name), GOOD_AND_BRIGHT)
        record = msgspec.structs.replace(example.run.read_record(), preprocess=spec)
        deployable = graph.cut(model, record)
        write_saved_model(deployable, Path(name) / "saved")
        float32 = tflite_float32.convert(deployable, Path(name) / "saved")
        tflite = nets.to_int8(deployable, float32, pixels)
        onnx = onnx_int8.convert(deployable, tflite)
    (folder / files.FLOAT32_ONNX).write_bytes(onnx_float32.convert(deployable, float32).content)
    (folder / files.UINT8_TFLITE).write_bytes(
        tflite_interop.convert(tflite, GOOD_AND_BRIGHT, Activation.SIGMOID, pixels)
    )
    return tflite, onnx
