"""Networks of ``keras.applications``, and functions with the same arguments.

Their layers become part of one flat model behind our own normalization. What the
application does with its pixels first (its ``preprocess_input``, and rescaling inside
the network) is left out of the graph and put into the first convolution's weights
instead, so the pretrained features stay what they were.
"""

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.manifest import Colour
from linegate_training.networks.base import LOGIT_MAP, LOGITS, Network, Tensor
from linegate_training.weights.assign import LayerWeights, assign
from linegate_training.weights.download import imagenet_download, keras_cache
from linegate_training.weights.pixels import Array, PixelMap

_TORCH_SUFFIXES = frozenset({".pth", ".pt"})
_PREPROCESSING = (layers.Rescaling, layers.Normalization)
_DEVIATION = 128
IMAGENET_MEAN = 115
"""Mean of ImageNet's photographs over all colours: of 123.68, 116.779 and 103.939."""
MIDDLE = 127
"""What the networks subtract that map pixels to -1..1, but for a half."""


@dataclasses.dataclass(frozen=True)
class Application:
    """A function that builds a pretrained network, called as those of ``keras.applications``.

    Attributes:
        name: for messages.
        build: takes ``include_top``, ``weights``, ``input_tensor`` and ``input_shape``.
        preprocess: from RGB images 0..255 to what the network takes.
        mean: whole number that is subtracted from all pixels; what the padding with zeros
            stands for, so it should be near to what the weights were trained with.
        arguments: further arguments of ``build``.
    """

    name: str
    build: Callable[..., Any]
    preprocess: Callable[[Array], Any]
    mean: int
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def body(self, x: Tensor) -> Tensor:
        """Append the network without top to normalized images.

        Raises:
            ConfigError: the application refuses the shape or its arguments.
        """
        shape = tuple(x.shape[1:])
        given = {"include_preprocessing": False} if self._may_leave_preprocessing_out() else {}
        try:
            model = self._build(weights=None, input_tensor=x, input_shape=shape, **given)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.name} with images of the shape {shape}: {error}") from error
        if not preprocessing_layers(model, x):
            return model.output
        return _without_preprocessing(self._build(weights=None, input_shape=shape), x)

    def load_imagenet(self, model: keras.Model, path: Path | None) -> None:
        """Copy pretrained weights without top into a model's body.

        Args:
            model: with this application's body.
            path: ``.h5`` or ``.weights.h5`` file; None lets Keras download its own, or take
                it from its cache.

        Raises:
            ConfigError: the download fails, or the file is none of Keras.
            DataError: the file is damaged or holds another network.
        """
        height, width = model.input.shape[1:3]
        with warnings.catch_warnings():
            # It warns that the weights were trained at another size; here that is meant.
            warnings.filterwarnings("ignore", message=r".*`input_shape` is undefined or non-square")
            source = self._pretrained((height, width, 3), path)
        preprocessing = preprocessing_layers(source, source.input)
        given = [layer for layer in source.layers if layer.weights and layer not in preprocessing]
        taken = [layer for layer in _body_layers(model) if layer.weights]
        if len(taken) < len(given):
            raise DataError(
                f"{path or self.name}: expected the weights of {model.name} in {len(taken)} "
                f"layers, got {len(given)}"
            )
        weights = [
            LayerWeights(own, layer.get_weights(), layer.name)
            for own, layer in zip(taken, given, strict=False)
        ]
        assign(model, weights, self._pixels(preprocessing), str(path or self.name))

    def _pixels(self, preprocessing: Sequence[keras.layers.Layer]) -> PixelMap:
        def first_convolution_input(images: Array) -> Any:
            values = self.preprocess(images)
            for layer in preprocessing:
                values = layer(values)
            return values

        return PixelMap.of_function(first_convolution_input, self.name)

    def _pretrained(self, shape: tuple[int, int, int], path: Path | None) -> Any:
        if path is None:
            with imagenet_download(self.name):
                return self._build(weights="imagenet", input_shape=shape)
        if path.suffix in _TORCH_SUFFIXES:
            raise ConfigError(
                f"{path}: expected a .h5 or .weights.h5 file of {self.name} without top, or a "
                ".keras file of another run"
            )
        source = self._build(weights=None, input_shape=shape)
        if any(layer.weights for layer in preprocessing_layers(source, source.input)):
            # EfficientNet-B0 to -B7: only for "imagenet" Keras adds the factor they need.
            raise ConfigError(
                f"{path}: Keras builds {self.name} in another way for a file than for its ImageNet "
                f"weights; put the file into {keras_cache()}, where Keras looks before it "
                "downloads, and give --weights imagenet"
            )
        try:
            with warnings.catch_warnings():
                # Where weights are missing in the file, Keras only warns and leaves random ones.
                warnings.simplefilter("error", UserWarning)
                source.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserWarning) as error:
            raise DataError(
                f"{path}: expected weights of {self.name} without top (Keras calls such files "
                f"*_notop.h5 or *_no_top.h5): {error}"
            ) from error
        return source

    def _build(self, **given: Any) -> Any:
        return self.build(include_top=False, **self.arguments, **given)

    def _may_leave_preprocessing_out(self) -> bool:
        return "include_preprocessing" in inspect.signature(self.build).parameters


def application_network(
    name: str,
    application: Application,
    *,
    size: int = 224,
    smallest_size: int = 32,
    hidden: Callable[[Tensor], Tensor] | None = None,
    dropout: float = 0.0,
    cuts: tuple[str, ...] = (),
    fine_tune_after: str | None = None,
    learning_rate: float = 1e-3,
    with_alpha: Callable[[float], Network] | None = None,
) -> Network:
    """Return a network whose body is an application; see :class:`Network` for the arguments."""
    return Network(
        name=name,
        size=size,
        smallest_size=smallest_size,
        colour=Colour.RGB,
        scale=1 / _DEVIATION,
        offset=-application.mean / _DEVIATION,
        body=application.body,
        hidden=hidden,
        dropout=dropout,
        cuts=cuts,
        fine_tune_after=fine_tune_after,
        learning_rate=learning_rate,
        load_imagenet=application.load_imagenet,
        with_alpha=with_alpha,
    )


def preprocessing_layers(model: Any, start: Tensor) -> list[keras.layers.Layer]:
    """Return the layers that follow each other from a tensor and only rescale or normalize."""
    found: list[keras.layers.Layer] = []
    while True:
        readers = [
            layer
            for layer in model.layers
            if isinstance(layer, _PREPROCESSING) and getattr(layer, "input", None) is start
        ]
        if len(readers) != 1:
            return found
        found.append(readers[0])
        start = readers[0].output


def _without_preprocessing(model: Any, x: Tensor) -> Tensor:
    """Build the layers of a model anew on a tensor, but for those that only prepare its pixels."""
    names = {layer.name for layer in preprocessing_layers(model, model.input)}

    def call(layer: Any, *tensors: Any, **options: Any) -> Any:
        return x if layer.name in names else layer(*tensors, **options)

    # From the picture itself: a clone that starts at another tensor is not connected to it.
    (image,) = keras.utils.get_source_inputs(x)
    return keras.models.clone_model(model, input_tensors=image, call_function=call).output


def _body_layers(model: keras.Model) -> list[Any]:
    """Return the layers between normalization and head, in the order of the data flow."""
    return [layer for layer in model.layers if layer.name not in {LOGIT_MAP, LOGITS}]
