"""Every network through the whole line: trained, fine-tuned, exported, run by the runtime.

Takes half a minute to twelve minutes a network; ``make test-networks`` runs it.
"""

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.images import read_image
from linegate_bundle.preprocess import Preprocessor
from linegate_bundle.run_folder import Part, RunFolder, read_split
from linegate_export.exporter import export
from linegate_export.gate import ANYTHING
from linegate_export.options import ExportOptions
from linegate_runtime.model import Model
from linegate_training.networks.names import NETWORKS
from linegate_training.options import Head, TrainOptions
from linegate_training.run import train
from tests.training.pictures import write_photographs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SIZES = {"alexnet": 67}
DEFAULT_SIZE = 32
EPOCHS = {"alexnet": 4, "vgg16": 5, "vgg19": 5, "resnet101": 8, "resnet152": 6}
"""The largest are slow; their loss falls in few steps too."""
DEFAULT_EPOCHS = 20
"""Batch normalization needs some hundred steps until its statistics are right."""
AGREEMENT = {"keras.applications:EfficientNetB0": 0.9}
"""Its swish and squeeze-excite lose in int8, which is why there is an EfficientNet-Lite0."""
"""Nets that were trained for seconds are not what the gate is for."""

OTHERS = ("keras.applications:EfficientNetB0", "tests.training.own_network:build")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("line") / "photographs"
    return write_photographs(folder, {"good": 64, "scratch": 64})


def options(photographs: Path, network: str, out: Path, **changes: Any) -> TrainOptions:
    size = SIZES.get(network, DEFAULT_SIZE)
    return TrainOptions(
        data=photographs,
        out=out,
        cache=photographs.parent / "cache",
        network=network,
        size=(size, size),
        batch_size=8,
        label_smoothing=0.0,
        variants=1,
        **changes,
    )


def history(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("network", [*NETWORKS, *OTHERS])
def test_a_network_learns_is_fine_tuned_exported_and_run(
    network: str, photographs: Path, tmp_path: Path
) -> None:
    epochs = EPOCHS.get(network, DEFAULT_EPOCHS)
    run = train(
        options(photographs, network, tmp_path / "a", weights="none", epochs=epochs, patience=20)
    )
    losses = [float(row["loss"]) for row in history(run) if row["loss"]]
    assert losses[-1] < 0.9 * losses[0]
    tuned = train(options(photographs, network, tmp_path / "b", weights=str(run.model), epochs=1))
    if network != OTHERS[1]:  # whose function says no cuts
        assert [row["stage"] for row in history(tuned)] == ["head", "fine-tuning"]
    labels_agree(photographs, tuned, tmp_path / "tuned")


def test_a_network_with_hidden_layers_can_be_pooled_instead(
    photographs: Path, tmp_path: Path
) -> None:
    run = train(
        options(photographs, "lenet5", tmp_path / "a", weights="none", head=Head.POOLED, epochs=20)
    )
    assert "logit_map" in {layer.name for layer in keras.models.load_model(run.model).layers}
    labels_agree(photographs, run, tmp_path / "pooled")


def labels_agree(photographs: Path, run: RunFolder, out: Path) -> None:
    """Export a run; where the trained model is sure, both engines give its label."""
    agreement = AGREEMENT.get(run.read_record().network, 1.0)
    result = export(ExportOptions(run=run.path, out=out, limits=ANYTHING))
    preprocess = Preprocessor(run.read_record().preprocess)
    rows = [row for row in read_split(run.split) if row.part is Part.TEST]
    frames = [read_image(photographs / row.path) for row in rows]
    pixels = np.stack([preprocess(frame) for frame in frames]).astype(np.float32)
    trained = np.asarray(keras.models.load_model(run.model)(pixels))[:, 0]
    sure = np.abs(trained - 0.5) > 0.25
    assert sure.any()
    for engine in ("tflite", "onnx"):
        with (
            Bundle.open(result.outputs.bundle, linegate_runtime.__version__) as bundle,
            Model.open(bundle, engine) as model,
        ):
            given = np.array([model.probabilities(frame)[1] for frame in frames])
        same = (given[sure] > 0.5) == (trained[sure] > 0.5)
        assert same.sum() >= agreement * len(same)
        # The outputs follow the trained model's also where it is not sure.
        assert np.abs(given - trained).mean() < 0.15
