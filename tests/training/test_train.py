"""What a training does: the run folder, the network, its layers and defaults."""

import csv
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.images import read_image
from linegate_bundle.manifest import Activation, Colour, Role
from linegate_bundle.preprocess import Preprocessor
from linegate_bundle.run_folder import Part, RunFolder, read_split
from linegate_training.augment.augmentation import Augmentation
from linegate_training.fitting import recipe
from linegate_training.networks.base import LOGITS, build_model
from linegate_training.networks.registry import load_network
from linegate_training.options import (
    Balance,
    Cost,
    Head,
    Precision,
    Quality,
    TrainOptions,
)
from linegate_training.run import resolve, train
from tests.training.pictures import write_photographs
from tests.training.trainings import files, fine_tuning, options

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One training that several tests look at."""
    folder = tmp_path_factory.mktemp("trained") / "photographs"
    write_photographs(folder, {"good": 60, "scratch": 30})
    return train(options(folder, name="squares", group_pattern=r"part(\d+)_", seed=3, epochs=15))


def test_a_run_folder_holds_all_that_the_export_needs(trained: RunFolder) -> None:
    record = trained.read_record()
    assert files(trained.path) == {
        "run.json", "split.csv", "model.keras", "history.csv", "predictions.csv", "report.html",
        "MODEL_CARD.md",
    }  # fmt: skip
    assert [(label.name, label.role) for label in record.labels] == [
        ("good", Role.GOOD),
        ("scratch", Role.DEFECT),
    ]
    assert (record.name, record.network, record.weights) == ("squares", "basic_cnn", "none")
    assert record.activation is Activation.SIGMOID
    assert record.preprocess.shape == (16, 16, 3)
    assert record.data == str(trained.path.parent / "photographs")
    assert record.coloured is True  # each pixel has a colour of its own
    assert record.configuration["seed"] == 3
    assert record.configuration["fractions"] == "0.5 0.1 0.15 0.25"
    assert record.versions["keras"] == keras.__version__
    rows = read_split(trained.split)
    assert len(rows) == 90
    assert {row.part for row in rows} == set(Part)
    with (trained.path / "history.csv").open() as file:
        assert {row["stage"] for row in csv.DictReader(file)} == {"training"}
    assert files(trained.path.parent) == {"photographs", "run", "cache"}


def test_the_trained_model_tells_held_out_pictures_apart(trained: RunFolder) -> None:
    model = keras.models.load_model(trained.model, safe_mode=True)
    record = trained.read_record()
    preprocess = Preprocessor(record.preprocess)
    rows = [row for row in read_split(trained.split) if row.part is Part.TEST]
    pixels = np.stack([preprocess(read_image(Path(record.data) / row.path)) for row in rows])
    found = np.asarray(model(pixels.astype(np.float32)))[:, 0] > 0.5
    assert np.mean(found == [row.label == "scratch" for row in rows]) > 0.9


@pytest.mark.parametrize("colour", [True, False])
def test_a_run_says_whether_its_pictures_are_of_a_colour_camera(
    photographs: Path, *, colour: bool
) -> None:
    for path in photographs.rglob("*.png"):
        grey = read_image(path).mean(axis=2, keepdims=True)
        tinted = grey * np.array([0.3, 0.6, 1.0] if colour else [1, 1, 1])
        cv2.imwrite(str(path), (60 + tinted * 0.7).astype(np.uint8) if not colour else tinted + 20)
    run = train(options(photographs, epochs=1))
    assert run.read_record().coloured is colour


def test_three_classes_in_grey_shown_alike_get_a_softmax(tmp_path: Path) -> None:
    counts = {"good": 30, "scratch": 12, "dent": 16}
    folder = write_photographs(tmp_path / "photographs", counts)
    run = train(
        options(
            folder,
            colour=Colour.GRAY,
            size=(12, 14),
            epochs=2,
            balance=Balance.SAMPLING,
            costs=(Cost("dent", "good", 3.0),),
            augmentation=Augmentation(noise=2.0, rotation=5.0),
        )
    )
    record = run.read_record()
    assert record.activation is Activation.SOFTMAX
    assert [label.name for label in record.labels] == ["good", "dent", "scratch"]
    assert record.preprocess.shape == (14, 12, 1)
    assert record.coloured is None
    model = keras.models.load_model(run.model, safe_mode=True)
    assert model.get_layer(LOGITS).output.shape == (None, 3)


def test_same_seed_gives_the_same_model(photographs: Path, tmp_path: Path) -> None:
    weights = []
    for number, seed in enumerate((1, 1, 2)):
        run = train(options(photographs, out=tmp_path / f"run{number}", epochs=2, seed=seed))
        weights.append(keras.models.load_model(run.model).get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_split_given_back_is_written_again(trained: RunFolder, tmp_path: Path) -> None:
    folder = trained.path.parent / "photographs"
    again = train(options(folder, out=tmp_path / "again", epochs=1, split=trained.split, seed=9))
    assert again.split.read_bytes() == trained.split.read_bytes()


def test_a_table_is_trained_on_and_its_weights_are_part_of_the_run(photographs: Path) -> None:
    lines = [
        f"{path.relative_to(photographs).as_posix()},{path.parent.name},{number % 4 / 2}"
        for number, path in enumerate(sorted(photographs.rglob("*.png")))
    ]
    table = photographs / "Line 3.csv"
    table.write_text("\n".join(["path,label,weight", *lines]))
    run = train(options(table, out=photographs.parent / "run", epochs=1))
    record = run.read_record()
    assert (record.name, record.data) == ("line-3", str(photographs))
    rows = read_split(run.split)
    assert {row.weight for row in rows} == {0.0, 0.5, 1.0, 1.5}
    assert all((Path(record.data) / row.path).is_file() for row in rows)


def changed_layers(before: keras.Model, run: RunFolder) -> set[str]:
    after = keras.models.load_model(run.model)
    return {
        layer.name
        for layer in before.layers
        if not all(
            map(np.array_equal, layer.get_weights(), after.get_layer(layer.name).get_weights())
        )
    }


def test_pretrained_weights_are_fine_tuned_behind_the_cut_only(
    photographs: Path, pretrained: keras.Model
) -> None:
    run = train(fine_tuning(photographs))
    assert changed_layers(pretrained, run) == {"conv2", "logit_map"}
    assert run.read_record().weights.startswith("sha256:")
    with (run.path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["stage"] for row in history] == ["head"] + ["fine-tuning"] * 8
    assert float(history[-1]["validation_loss"]) < float(history[0]["validation_loss"])


def test_no_epochs_fit_the_head_alone(photographs: Path, pretrained: keras.Model) -> None:
    assert changed_layers(pretrained, train(fine_tuning(photographs, epochs=0))) == {"logit_map"}


def test_after_the_normalization_means_the_whole_network(
    photographs: Path, pretrained: keras.Model
) -> None:
    run = train(fine_tuning(photographs, fine_tune_after="normalization"))
    assert changed_layers(pretrained, run) == {"conv0", "conv1", "conv2", "logit_map"}


def test_without_room_for_activations_the_same_layers_are_trained_from_pixels(
    photographs: Path, pretrained: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "_ACTIVATIONS_BYTES", 1000)
    run = train(fine_tuning(photographs))
    assert changed_layers(pretrained, run) == {"conv2", "logit_map"}


@pytest.mark.usefixtures("pretrained")
@pytest.mark.parametrize("cut", ["relu1", "normalization"])
def test_half_precision_learns_and_leaves_a_model_that_computes_in_float32(
    photographs: Path, cut: str
) -> None:
    run = train(fine_tuning(photographs, precision=Precision.MIXED, fine_tune_after=cut))
    assert keras.config.dtype_policy().name == "float32"
    model = keras.models.load_model(run.model, safe_mode=True)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    with (run.path / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert float(history[-1]["validation_loss"]) < float(history[0]["validation_loss"])


def test_what_is_not_said_is_taken_from_network_and_data() -> None:
    efficientnet = resolve(
        TrainOptions(data=Path("Solar Cells/"), out=Path()), load_network("efficientnet_lite0")
    )
    assert efficientnet.name == "solar-cells"
    assert (efficientnet.weights, efficientnet.size) == ("imagenet", (224, 224))
    assert (efficientnet.epochs, efficientnet.fine_tune_after) == (8, "block7_add")
    best = resolve(
        TrainOptions(data=Path("x"), out=Path(), quality=Quality.BEST, average=0.5),
        load_network("efficientnet_lite0"),
    )
    assert (best.epochs, best.fine_tune_after, best.average) == (16, "block4_add", 0.5)
    assert (efficientnet.variants, best.variants) == (4, 8)
    basic = resolve(TrainOptions(data=Path("x"), out=Path(), epochs=1), load_network("basic_cnn"))
    assert (basic.weights, basic.size, basic.epochs) == ("none", (64, 64), 1)
    assert basic.fine_tune_after is None
    assert (efficientnet.head, basic.head) == (Head.PUBLISHED, Head.PUBLISHED)


def test_nothing_is_not_trained_on_nothing() -> None:
    with pytest.raises(ConfigError, match=r"0 epochs .* basic_cnn starts from random"):
        resolve(TrainOptions(data=Path("x"), out=Path(), epochs=0), load_network("basic_cnn"))


def test_head_is_pooled_where_weights_come_without_top(tmp_path: Path) -> None:
    vgg = load_network("vgg16")

    def head(**changes: object) -> Head | None:
        return resolve(TrainOptions(data=Path("x"), out=Path(), **changes), vgg).head  # type: ignore[arg-type]

    assert head() is Head.POOLED
    assert head(weights="none") is Head.PUBLISHED
    assert head(head=Head.PUBLISHED) is Head.PUBLISHED
    basic = load_network("basic_cnn")
    path = tmp_path / "run.keras"
    for given in Head:
        build_model(basic, (16, 16, 3), 2, given).save(path)
        found = TrainOptions(data=Path("x"), out=Path(), weights=str(path))
        assert resolve(found, basic).head is given
    path.write_bytes(b"no model")
    with pytest.raises(DataError, match="expected a Keras model"):
        resolve(found, basic)
