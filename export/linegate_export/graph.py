"""The trained Keras model, checked and cut for the device.

The model takes raw pixels 0..255. Its first layer, ``normalization``, computes
``scale * pixel + offset``. The int8 graph leaves that layer out: its input is the
layer's result, quantized with the layer's own scale and the zero point
``-128 - offset / scale``. Then the stored byte is pixel - 128 for every pixel, the
device only flips one bit, and no weight is folded (folding rounds the first
layer's weights more coarsely).
"""

import dataclasses
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from linegate_bundle.manifest import CLASS_MAP, EMBEDDING, LOGITS, Activation, Quantization
from linegate_bundle.run_folder import RunRecord
from linegate_export.conversion import RequirementError

NORMALIZATION = "normalization"
PROBABILITIES = "probabilities"

_ROUNDING = 1e-6
_LAST_STEP = 255
_MAP_RANK = 4
_SIGMOID_LABELS = 2
_EXECUTES_FOREIGN_CODE = frozenset(
    {"Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"}
)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """``scale * pixel + offset``, what the model does with raw pixels first."""

    scale: float
    offset: float

    @property
    def quantization(self) -> Quantization:
        """The input quantization with which the stored byte is exactly pixel - 128.

        Raises:
            RequirementError: no whole zero point does that.
        """
        steps = self.offset / self.scale
        if (
            abs(steps - round(steps)) > _ROUNDING * max(1.0, abs(steps))
            or not -_LAST_STEP <= steps <= 0
        ):
            raise RequirementError(
                f"the layer {NORMALIZATION!r} computes {self.scale:g} * pixel + {self.offset:g}; "
                "for an int8 input that takes pixel - 128, offset / scale must be a whole number "
                f"from -255 to 0, got {steps:g}; train with (pixel - 127) / 128, for example"
            )
        return Quantization(scale=self.scale, zero_point=-128 - round(steps))


@dataclasses.dataclass(frozen=True)
class Deployable:
    """A trained model in the three forms that the exporter needs; all share the weights.

    Attributes:
        whole: raw pixels to probabilities, as trained.
        raw: raw pixels to logits, float32 ``(n, h, w, c)`` to ``(n, logits)``.
        core: normalized pixels to logits.
        normalization: what lies between ``raw`` and ``core``.
        shape: ``(height, width, channels)`` of one picture.
        logits: number of values of the output.
        outputs: shape of each output, the batch of one included, by signature name: logits,
            the class map where the model pools one, and the embedding if it was asked for.
    """

    whole: Any
    raw: Any
    core: Any
    normalization: Normalization
    shape: tuple[int, int, int]
    logits: int
    outputs: dict[str, tuple[int, ...]]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order."""
        return tuple(layer.name for layer in self.core.layers)


def load_model(path: Path) -> Any:
    """Load a ``.keras`` file that holds nothing but layers of Keras itself.

    Raises:
        RequirementError: not a Keras model, or it holds a Lambda layer or a custom
            object; such code is refused before Keras sees the file, never executed.
    """
    if keras.backend.backend() != "tensorflow":
        raise RequirementError(
            "export needs Keras on TensorFlow, got the backend "
            f"{keras.backend.backend()!r}; set KERAS_BACKEND=tensorflow for this command"
        )
    _refuse_foreign_code(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything here
        raise RequirementError(f"{path}: Keras cannot load it: {error}") from error


def cut(model: Any, record: RunRecord, *, embedding: bool = False) -> Deployable:
    """Check a loaded model against the run's record and cut it for the device.

    Args:
        model: as trained.
        record: of its run.
        embedding: whether to give the pooled features as an output too.

    Raises:
        RequirementError: a named layer is missing or of another kind, or shapes,
            labels and activation do not fit the record.
    """
    shape = record.preprocess.shape
    _require_shape(model.inputs, (None, *shape), "one input of preprocessed pictures")
    normalization = _layer(model, NORMALIZATION, keras.layers.Rescaling)
    if normalization.input is not model.inputs[0]:
        raise RequirementError(
            f"expected {NORMALIZATION!r} as the first layer, it takes {normalization.input.name!r}"
        )
    logits = _layer(model, LOGITS, keras.layers.Layer)
    names = [label.name for label in record.labels]
    count = 1 if record.activation is Activation.SIGMOID else len(names)
    if record.activation is Activation.SIGMOID and len(names) != _SIGMOID_LABELS:
        raise RequirementError(f"sigmoid needs two labels, the run has {names}")
    _require_shape(
        [logits.output], (None, count), f"logits for the labels {names} with {record.activation}"
    )
    _require_activation(model, record.activation)
    outputs = {LOGITS: logits.output, **_further_outputs(logits, embedding=embedding)}
    try:
        # Named here, for the names are in the file, and Keras' own count up in a process.
        core = keras.Model(normalization.output, outputs, name="core")
    except ValueError as error:
        raise RequirementError(
            f"expected every path from the input to {LOGITS!r} to go through {NORMALIZATION!r}: "
            f"{error}"
        ) from error
    return Deployable(
        whole=model,
        raw=keras.Model(model.inputs[0], outputs, name="raw"),
        core=core,
        normalization=_read_normalization(normalization),
        shape=shape,
        logits=count,
        outputs={name: (1, *tensor.shape[1:]) for name, tensor in outputs.items()},
    )


def _further_outputs(logits: Any, *, embedding: bool) -> dict[str, Any]:
    """Return the class map and the embedding as far as there are any.

    A class map of one pixel says nothing that the logits do not.
    """
    outputs = {}
    features = logits.input
    if isinstance(logits, keras.layers.GlobalAveragePooling2D):
        class_map = features._keras_history.operation  # noqa: SLF001 - Keras has no other way
        if isinstance(class_map, keras.layers.Conv2D):
            if max(logits.input.shape[1:3]) > 1:
                outputs[CLASS_MAP] = logits.input
            features = class_map.input
    if embedding:
        rank = len(features.shape)
        pool = keras.layers.GlobalAveragePooling2D(name="embedding_pool")
        outputs[EMBEDDING] = pool(features) if rank == _MAP_RANK else features
    return outputs


def _read_normalization(layer: Any) -> Normalization:
    try:
        return Normalization(scale=float(layer.scale), offset=float(layer.offset))
    except TypeError as error:
        raise RequirementError(
            f"expected one scale and one offset for all channels in {NORMALIZATION!r}, "
            f"got {layer.scale} and {layer.offset}"
        ) from error


def _require_activation(model: Any, activation: Activation) -> None:
    layer = _layer(model, PROBABILITIES, keras.layers.Activation)
    name = getattr(layer.activation, "__name__", str(layer.activation))
    direct = layer.output is model.outputs[0] and layer.input is model.get_layer(LOGITS).output
    if name != activation.value or len(model.outputs) != 1 or not direct:
        raise RequirementError(
            f"expected the model to end in {LOGITS!r} and the activation {activation} named "
            f"{PROBABILITIES!r}, got {name!r}"
        )


def _layer(model: Any, name: str, kind: type[Any]) -> Any:
    layers = {layer.name: layer for layer in model.layers}
    layer = layers.get(name)
    if not isinstance(layer, kind):
        got = "none" if layer is None else type(layer).__name__
        raise RequirementError(
            f"expected a layer {name!r} of the kind {kind.__name__}, got {got}; the model has "
            f"{', '.join(list(layers)[:3])} ... {', '.join(list(layers)[-3:])}; "
            "`linegate train` makes models that can be exported"
        )
    return layer


def _require_shape(tensors: list[Any], expected: tuple[int | None, ...], what: str) -> None:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if shapes != [expected]:
        raise RequirementError(f"expected {what} of shape {expected}, the model has {shapes}")


def _refuse_foreign_code(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            configuration = json.loads(archive.read("config.json"))
        described_objects = list(_described_objects(configuration))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise RequirementError(f"{path}: expected a model in the .keras format: {error}") from error
    for described in described_objects:
        module, kind = described.get("module"), described["class_name"]
        own = isinstance(module, str) and (module == "keras" or module.startswith("keras."))
        name = described.get("config", {})
        name = name.get("name", "") if isinstance(name, dict) else name
        if not own or kind in _EXECUTES_FOREIGN_CODE:
            raise RequirementError(
                f"{path}: holds {kind} {name!r} from {module!r}, code that did not come with "
                "Keras; it is refused and was not executed; use layers of Keras only"
            )


def _described_objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object that Keras would build from a configuration, at any depth."""
    if isinstance(node, dict):
        if isinstance(node.get("class_name"), str) and node["class_name"] not in _PLAIN_DATA:
            yield node
        for value in node.values():
            yield from _described_objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _described_objects(value)


_PLAIN_DATA = frozenset({"__tuple__", "__keras_tensor__", "__tensor__", "__numpy__", "__bytes__"})
"""Class names under which Keras writes values, not objects."""
