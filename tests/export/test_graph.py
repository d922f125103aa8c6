"""Loading and cutting the trained model: what cannot be exported is refused and says why."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Activation, Label, Role
from linegate_bundle.run_folder import RunRecord
from linegate_export import graph
from linegate_export.conversion import RequirementError
from tests.export import nets
from tests.export.nets import Example


@given(st.integers(-255, 0), st.sampled_from([1 / 128, 1 / 255, 1 / 64, 0.017, 3.0]))
def test_the_required_quantization_stores_pixel_minus_128_for_every_pixel(
    steps: int, scale: float
) -> None:
    normalization = graph.Normalization(scale=scale, offset=steps * scale)
    quantization = normalization.quantization
    pixels = np.arange(256)
    real = scale * pixels + normalization.offset
    stored = np.round(real / quantization.scale) + quantization.zero_point
    assert (stored == pixels - 128).all()


@pytest.mark.parametrize(
    ("scale", "offset"), [(1 / 127.5, -1.0), (1 / 128, 0.5), (1 / 128, -256 / 128)]
)
def test_a_normalization_that_no_zero_point_expresses_is_refused(
    scale: float, offset: float
) -> None:
    with pytest.raises(RequirementError, match="whole number from -255 to 0"):
        _ = graph.Normalization(scale=scale, offset=offset).quantization


def test_core_and_raw_differ_by_the_normalization_only(deployable: graph.Deployable) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *deployable.shape)).astype(np.float32)
    scale, offset = deployable.normalization.scale, deployable.normalization.offset
    raw = np.asarray(deployable.raw(pixels)["logits"])
    core = np.asarray(deployable.core(pixels * scale + offset)["logits"])
    np.testing.assert_allclose(raw, core, atol=1e-5)
    assert raw.shape == (4, deployable.logits) == (4, 1)


def test_a_lambda_layer_is_refused_and_never_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    image = keras.Input((4, 4, 3))
    path = str(trace)

    def leave_trace(values: Any, path: str = path) -> Any:
        import pathlib

        pathlib.Path(path).touch()
        return values

    layer = keras.layers.Lambda(leave_trace, output_shape=(4, 4, 3))
    keras.Model(image, layer(image)).save(tmp_path / "model.keras")
    trace.unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"holds Lambda .* refused and was not executed"):
        graph.load_model(tmp_path / "model.keras")
    assert not trace.exists()


class Doubling(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """A layer that Keras does not know."""

    def call(self, values: Any) -> Any:
        return 2 * values


def test_a_custom_layer_is_refused_by_name(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 3))
    keras.Model(image, Doubling()(image)).save(tmp_path / "model.keras")
    with pytest.raises(DataError, match=r"holds Doubling 'doubling' from .*test_graph"):
        graph.load_model(tmp_path / "model.keras")


def test_a_custom_object_deep_inside_a_layer_is_refused_too(blobs: Example, tmp_path: Path) -> None:
    """A configuration that names code of another module, put in by hand."""
    altered = tmp_path / "model.keras"
    with zipfile.ZipFile(blobs.run.model) as source, zipfile.ZipFile(altered, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                configuration = json.loads(content)
                layer = configuration["config"]["layers"][2]
                layer["config"]["kernel_initializer"] = {
                    "module": "os",
                    "class_name": "system",
                    "config": {"command": "true"},
                    "registered_name": None,
                }
                content = json.dumps(configuration).encode()
            target.writestr(name, content)
    with pytest.raises(DataError, match=r"holds system .* from 'os'"):
        graph.load_model(altered)


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected a model in the \.keras format"):
        graph.load_model(path)


def test_a_model_whose_weights_are_cut_off_is_refused(blobs: Example, tmp_path: Path) -> None:
    altered = tmp_path / "model.keras"
    with zipfile.ZipFile(blobs.run.model) as source, zipfile.ZipFile(altered, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[:100] if name.endswith(".h5") else content)
    with pytest.raises(DataError, match="Keras cannot load it"):
        graph.load_model(altered)


@pytest.mark.parametrize("name", ["normalization", "logits", "probabilities"])
def test_a_model_without_a_named_layer_is_refused_and_the_layer_named(
    blobs: Example, name: str
) -> None:
    model = nets.conv_net()
    model.get_layer(name).name = "other"
    with pytest.raises(RequirementError, match=f"expected a layer '{name}'"):
        graph.cut(model, blobs.run.read_record())


def record(example: Example, **changes: Any) -> RunRecord:
    return msgspec.structs.replace(example.run.read_record(), **changes)


def test_labels_that_do_not_fit_the_outputs_are_refused(blobs: Example) -> None:
    labels = (*nets.PLAIN_AND_BLOB, Label(name="bar", role=Role.DEFECT))
    with pytest.raises(RequirementError, match="sigmoid needs two labels"):
        graph.cut(nets.conv_net(), record(blobs, labels=labels))
    with pytest.raises(RequirementError, match=r"of shape \(None, 3\), the model has"):
        graph.cut(nets.dense_net(2), record(blobs, labels=labels, activation=Activation.SOFTMAX))


def test_another_activation_than_recorded_is_refused(blobs: Example) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Dense(1, name="logits")(keras.layers.Flatten()(x))
    model = keras.Model(image, keras.layers.Activation("tanh", name="probabilities")(x))
    with pytest.raises(RequirementError, match="activation sigmoid named 'probabilities', got"):
        graph.cut(model, blobs.run.read_record())


def test_another_input_size_than_recorded_is_refused(blobs: Example) -> None:
    with pytest.raises(RequirementError, match=r"pictures of shape \(None, 32, 32, 3\)"):
        graph.cut(nets.conv_net(), record(blobs, preprocess=nets.spec(32)))


def test_a_path_around_the_normalization_is_refused(blobs: Example) -> None:
    image = keras.Input((nets.SIDE, nets.SIDE, 3))
    x = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    x = keras.layers.Add()([x, image])
    x = keras.layers.Dense(1, name="logits")(keras.layers.Flatten()(x))
    model = keras.Model(image, keras.layers.Activation("sigmoid", name="probabilities")(x))
    with pytest.raises(RequirementError, match="to go through 'normalization'"):
        graph.cut(model, blobs.run.read_record())
