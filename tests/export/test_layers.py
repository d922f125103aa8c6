"""From tensors back to the layers of the trained model."""

from pathlib import Path

import keras

from linegate_export import tflite_float32
from linegate_export.graph import Deployable, Normalization
from linegate_export.layers import layer_of
from linegate_export.saved_model import write_saved_model
from linegate_export.tflite_file import read_tflite
from tests.export import nets


def test_default_names_that_end_in_a_number_are_not_mixed_up(tmp_path: Path) -> None:
    keras.backend.clear_session()
    image = keras.Input((nets.SIDE, nets.SIDE, 3), name="image")
    x = normal = keras.layers.Rescaling(1 / 255, name="normalization")(image)
    for _ in range(3):
        x = keras.layers.Conv2D(4, 3)(x)
        x = keras.layers.Activation("tanh")(x)
    output = keras.layers.Dense(1, name="logits")(keras.layers.Flatten()(x))
    model = Deployable(
        whole=None,
        raw=keras.Model(image, {"logits": output}),
        core=keras.Model(normal, {"logits": output}, name="core"),
        normalization=Normalization(scale=1 / 255, offset=0.0),
        shape=(nets.SIDE, nets.SIDE, 3),
        logits=1,
        outputs={"logits": (1, 1)},
    )
    write_saved_model(model, tmp_path)
    file = read_tflite(tflite_float32.convert(model, tmp_path))
    convolutions = [one for one in file.operators if one.name == "CONV_2D"]
    named = [layer_of(one, file, model.layers) for one in convolutions]
    assert named == [name for name in model.layers if name.startswith("conv2d")]
    assert layer_of(file.operators[-1], file, model.layers) == "logits"
