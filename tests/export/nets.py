"""Small nets and generated pictures for the export's tests.

A picture is dark noise; a defective one shows a bright round blob. The nets follow
the contract of a run folder: raw pixels in, ``normalization``, ``logits``,
``probabilities``.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np

from linegate_bundle.images import read_image
from linegate_bundle.manifest import (
    Activation,
    Colour,
    Fit,
    Label,
    PreprocessSpec,
    Resize,
    Role,
)
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_bundle.run_folder import (
    RUN_SCHEMA_VERSION,
    Part,
    RunFolder,
    RunRecord,
    SplitRow,
    encode_split,
    sha256_file,
)

if TYPE_CHECKING:
    from linegate_export.conversion import Artifact
    from linegate_export.graph import Deployable

SIDE = 24
PICTURE_SIDE = 40
PLAIN_AND_BLOB = (Label(name="plain", role=Role.GOOD), Label(name="blob", role=Role.DEFECT))
PARTS = {Part.TRAIN: 120, Part.VALIDATION: 8, Part.CALIBRATION: 40, Part.TEST: 200}


def spec(side: int = SIDE) -> PreprocessSpec:
    """Return the preprocessing of the small nets."""
    return PreprocessSpec(
        colour=Colour.RGB,
        region=None,
        width=side,
        height=side,
        resize=Resize.AREA_LINEAR_EXACT,
        fit=Fit.STRETCH,
    )


def draw(rng: np.random.Generator, label: str) -> UInt8Array:
    """Draw a picture, BGR uint8; ``blob`` has a bright disc, ``bar`` a bright bar."""
    level = rng.integers(40, 90)
    noise = rng.normal(level, 12, (PICTURE_SIDE, PICTURE_SIDE, 3))
    picture = noise.clip(0, 255).astype(np.uint8)
    x, y = (int(value) for value in rng.integers(10, PICTURE_SIDE - 10, 2))
    bright = int(rng.integers(170, 255))
    if label == "blob":
        cv2.circle(picture, (x, y), 7, (bright, bright, bright), cv2.FILLED, cv2.LINE_AA)
    elif label == "bar":
        cv2.rectangle(picture, (0, y), (PICTURE_SIDE, y + 3), (0, bright // 2, bright), cv2.FILLED)
    return picture


def write_pictures(
    folder: Path, labels: Sequence[Label], parts: Mapping[Part, int], seed: int = 0
) -> list[SplitRow]:
    """Write pictures of every label and part as PNG and return their split."""
    rng = np.random.default_rng(seed)
    rows = []
    for part, count in parts.items():
        for index in range(count):
            label = labels[index % len(labels)].name
            path = folder / label / f"{part}{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), draw(rng, label))
            rows.append(
                SplitRow(
                    path=path.relative_to(folder).as_posix(),
                    label=label,
                    group=path.stem + label,
                    part=part,
                    sha256=sha256_file(path),
                )
            )
    return rows


def conv_net(*, seed: int = 0, scale: float = 1 / 128, offset: float = -127 / 128) -> Any:
    """Build an EfficientNet-like net: a stem, two inverted bottlenecks, class map, pooling."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(scale, offset, name="normalization")(image)
    x = _block(keras.layers.Conv2D(8, 3, 2, "same", use_bias=False), x)
    for stride, channels in ((1, 8), (2, 12)):
        shortcut = x
        x = _block(keras.layers.Conv2D(24, 1, use_bias=False), x)
        x = _block(keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False), x)
        x = keras.layers.Conv2D(channels, 1, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.8)(x)
        if shortcut.shape == x.shape:
            x = keras.layers.Add()([shortcut, x])
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))


def dense_net(labels: int, *, seed: int = 0) -> Any:
    """Build the beginner's net: two convolutions, flatten, dense layers, softmax."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(12, 3, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(x))
    x = keras.layers.Dense(labels, name="logits")(x)
    return keras.Model(image, keras.layers.Activation("softmax", name="probabilities")(x))


def relu_net(*, seed: int = 0) -> Any:
    """Build a net of plain convolutions with ReLU, which cross-layer equalization is made for."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    for channels, stride in ((12, 2), (16, 1)):
        x = keras.layers.Conv2D(channels, 3, stride, "same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.8)(x))
    x = keras.layers.DepthwiseConv2D(3, 1, "same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.8)(x))
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))


def residual_net(*, seed: int = 0) -> Any:
    """Build a net whose stem and two blocks are added up without any activation."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, "same")(x)
    for _ in range(2):
        inner = keras.layers.Conv2D(12, 1, activation="relu")(x)
        inner = keras.layers.DepthwiseConv2D(3, 1, "same", activation="relu")(inner)
        x = keras.layers.Add()([x, keras.layers.Conv2D(8, 1)(inner)])
    x = keras.layers.Conv2D(8, 1, activation="relu")(x)
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))


def edge_net(*, seed: int = 0) -> Any:
    """Build a block of MobileNetV3 and one of EfficientNet: hard swish, swish, squeeze-excite."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalization")(image)
    for activation in ("hard_swish", "swish"):
        x = keras.layers.Conv2D(16, 3, 2, "same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.8)(x)
        x = keras.layers.Activation(activation)(x)
        gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = keras.layers.Conv2D(4, 1, activation="relu")(gate)
        gate = keras.layers.Conv2D(16, 1, activation="sigmoid")(gate)
        x = keras.layers.Multiply()([x, gate])
    x = keras.layers.Conv2D(1, 1, name="class_map")(x)
    x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))


def scale_channels(tflite: bytes, largest: float, seed: int = 0) -> bytes:
    """Scale channels by up to ``largest`` or its inverse, and back in the layer that reads them.

    What the float graph computes is the same; int8 has one scale for all channels.
    """
    from linegate_export.quantization import equalization
    from linegate_export.tflite_edit import constants, with_constants
    from linegate_export.tflite_file import read_tflite

    rng = np.random.default_rng(seed)
    values = constants(tflite)
    for stream in equalization.find_streams(read_tflite(tflite)):
        power = rng.uniform(-1, 1, stream.tensors[0].shape[-1])
        factors = np.asarray(largest**power, np.float32)
        for writer in stream.writers:
            equalization.scale_output(writer, factors, values)
        for reader in stream.readers:
            weights = values[reader.inputs[1].name]
            weights /= factors
    return with_constants(tflite, values)


def fit(model: Any, rows: Sequence[SplitRow], folder: Path, labels: Sequence[Label]) -> None:
    """Train a net for a few seconds on the train part."""
    chosen = [row for row in rows if row.part is Part.TRAIN]
    preprocess = Preprocessor(spec())
    pixels = np.stack([preprocess(read_image(folder / row.path)) for row in chosen])
    names = [label.name for label in labels]
    truth = np.array([names.index(row.label) for row in chosen])
    softmax = model.output_shape[-1] > 1
    loss = "sparse_categorical_crossentropy" if softmax else "binary_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(pixels.astype(np.float32), truth, batch_size=30, epochs=12, verbose=0)


@dataclasses.dataclass(frozen=True)
class Example:
    """A run folder with its pictures and labels."""

    run: RunFolder
    data: Path
    labels: tuple[Label, ...]


def write_run(
    folder: Path, model: Any, rows: Sequence[SplitRow], data: Path, labels: Sequence[Label]
) -> Example:
    """Write a run folder as the training does."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    model.save(run.model)
    run.split.write_bytes(encode_split(list(rows)))
    softmax = model.output_shape[-1] > 1
    run.write_record(
        RunRecord(
            schema_version=RUN_SCHEMA_VERSION,
            name="blobs",
            created="2026-01-02T03:04:05Z",
            network="tiny",
            weights="none",
            seed=0,
            labels=tuple(labels),
            activation=Activation.SOFTMAX if softmax else Activation.SIGMOID,
            preprocess=spec(),
            data=str(data.resolve()),
            data_sha256=hashlib.sha256(b"pictures").hexdigest(),
            split_sha256=sha256_file(run.split),
            model_sha256=sha256_file(run.model),
            coloured=None,
            configuration={},
            versions={"keras": keras.__version__},
        )
    )
    return Example(run, data, tuple(labels))


def to_int8(model: "Deployable", tflite: bytes, pictures: UInt8Array) -> "Artifact":
    """Convert a float graph to int8 with the plainest of all calibrations."""
    from linegate_export import tflite_int8
    from linegate_export.quantization.ranges import observe

    observed = observe(tflite, pictures, model.normalization, histograms_of=1)
    return tflite_int8.convert(model, tflite, observed.min_max())


def _block(layer: Any, x: Any) -> Any:
    x = keras.layers.BatchNormalization(momentum=0.8)(layer(x))
    return keras.layers.ReLU(6.0)(x)
