"""Nets whose weights are set by hand, so that it is known what they look at."""

import enum
from pathlib import Path

import keras
import numpy as np

from linegate_bundle.manifest import (
    Activation,
    Colour,
    Fit,
    Label,
    PreprocessSpec,
    Resize,
    Role,
)
from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import (
    RUN_SCHEMA_VERSION,
    Part,
    RunFolder,
    RunRecord,
    SplitRow,
    encode_split,
    sha256_file,
)


class HeadKind(enum.Enum):
    """How a known net makes logits: with a class map before pooling, or behind flattening."""

    CLASS_MAP = "class_map"
    DENSE = "dense"


SIDE = 24
EDGE, BRIGHT = 0, 1
"""Filters of the first layer: dark left of bright, and how bright it is."""
TWO = (Label(name="plain", role=Role.GOOD), Label(name="blob", role=Role.DEFECT))
THREE = (*TWO, Label(name="edge", role=Role.DEFECT))
SPEC = PreprocessSpec(
    colour=Colour.RGB,
    region=None,
    width=SIDE,
    height=SIDE,
    resize=Resize.AREA_LINEAR_EXACT,
    fit=Fit.STRETCH,
)


def blob(row: int, column: int) -> UInt8Array:
    """Draw a dark picture with a bright square of six pixels, its corner given."""
    picture = np.full((SIDE, SIDE, 3), 20, np.uint8)
    picture[row : row + 6, column : column + 6] = 230
    return picture


def edge(column: int) -> UInt8Array:
    """Draw a picture that is dark left of a column and bright from there on."""
    picture = np.full((SIDE, SIDE, 3), 20, np.uint8)
    picture[:, column:] = 230
    return picture


def known_net(head: HeadKind, labels: int = 2) -> keras.Model:
    """Build a net whose logits count bright places, or, for a third label, edges."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = keras.layers.MaxPooling2D(2, name="pooled")(x)
    logits = 1 if labels == len(TWO) else labels
    if head is HeadKind.CLASS_MAP:
        x = keras.layers.Conv2D(logits, 1, name="logit_map")(x)
        x = keras.layers.GlobalAveragePooling2D(name="logits")(x)
    else:
        x = keras.layers.Dense(logits, name="logits")(keras.layers.Flatten()(x))
    activation = "sigmoid" if logits == 1 else "softmax"
    x = keras.layers.Activation(activation, name="probabilities")(x)
    model = keras.Model(image, x)
    first, last = model.get_layer("first"), model.layers[-2 if head is HeadKind.DENSE else -3]
    first.set_weights([_filters(), np.zeros(4, np.float32)])
    last.set_weights(_head(last.kernel.shape, logits, head))
    return model


def write_run(folder: Path, model: keras.Model, labels: tuple[Label, ...]) -> RunFolder:
    """Write a run folder as the training does, with a split of one picture a part."""
    folder.mkdir()
    run = RunFolder(folder)
    model.save(run.model)
    rows = [SplitRow(path=f"{part}.png", label="plain", group=part, part=part, sha256="0" * 64)
            for part in Part]  # fmt: skip
    run.split.write_bytes(encode_split(rows))
    run.write_record(
        RunRecord(
            schema_version=RUN_SCHEMA_VERSION,
            name="known",
            created="2026-01-02T03:04:05Z",
            network="known",
            weights="none",
            seed=0,
            labels=labels,
            activation=Activation.SIGMOID if len(labels) == len(TWO) else Activation.SOFTMAX,
            preprocess=SPEC,
            data="photographs",
            data_sha256="0" * 64,
            split_sha256=sha256_file(run.split),
            model_sha256=sha256_file(run.model),
            coloured=None,
            configuration={},
            versions={},
        )
    )
    return run


def _filters() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[:, 0, :, EDGE], kernel[:, 2, :, EDGE] = -1 / 9, 1 / 9
    kernel[1, 1, :, BRIGHT] = 1 / 3
    kernel[1, 1, 0, 2] = 0.1  # a faint one
    return kernel


def _head(
    shape: tuple[int, ...], logits: int, head: HeadKind
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Weigh the channels alike at all places; what is not there speaks for plain."""
    weights = np.zeros((4, logits), np.float32)
    weights[BRIGHT, -1 if logits == 1 else 1] = 40
    if logits > 1:
        weights[EDGE, 2] = 400
    bias = np.zeros(logits, np.float32)
    bias[0] = -5 if logits == 1 else 5
    if head is HeadKind.CLASS_MAP:
        return [weights.reshape(shape), bias]
    places = shape[0] // 4
    return [np.tile(weights / places, (places, 1)).astype(np.float32), bias]
