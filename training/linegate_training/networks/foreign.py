"""Networks that are given as ``module:attribute``: of ``keras.applications``, or of one's own.

The attribute is one of

* a function with the arguments of ``keras.applications``: ``include_top``, ``weights``,
  ``input_tensor`` and ``input_shape``,
* a function from a symbolic tensor of normalized images, 0..1, of the shape
  ``(batch, height, width, channels)``, to features: a map of the same rank, which gets a
  class map, or ``(batch, features)``, which gets a dense layer,
* a :class:`Network`.

Such a network must be made of Keras' own layers, because nothing else can be exported
and loaded where its code is missing.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
from keras import layers

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Colour
from linegate_training.networks.application import (
    IMAGENET_MEAN,
    MIDDLE,
    Application,
    application_network,
    preprocessing_layers,
)
from linegate_training.networks.base import (
    IMAGE,
    LOGIT_MAP,
    LOGITS,
    NORMALIZATION,
    PROBABILITIES,
    Network,
    Tensor,
)
from linegate_training.networks.block_outputs import block_outputs
from linegate_training.weights.pixels import PixelMap

_APPLICATION = frozenset({"include_top", "weights", "input_tensor", "input_shape"})
_RESERVED = frozenset({IMAGE, NORMALIZATION, LOGIT_MAP, LOGITS, PROBABILITIES, "head_dropout"})
_RANKS = {2, 4}
_SIZE = 224
_DROPOUT = 0.2


def load_foreign(reference: str) -> Network:
    """Return the network at ``module:attribute``; the current folder counts for modules.

    Raises:
        ConfigError: the module cannot be imported, or the attribute is none of the above.
            What only shows when the model is built is raised there: features of another
            shape, and layers that are not Keras' own.
    """
    value = _find(reference)
    if isinstance(value, Network):
        return dataclasses.replace(value, body=_checked(reference, value.body))
    if not callable(value):
        raise ConfigError(f"{reference}: expected a function or a Network, got {value!r}")
    try:
        parameters = set(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        parameters = set()
    if parameters >= _APPLICATION:
        return _application(reference, value, None)
    return Network(
        name=reference,
        size=_SIZE,
        smallest_size=1,
        colour=Colour.RGB,
        scale=1 / 255,
        offset=0.0,
        body=_checked(reference, value),
    )


def _find(reference: str) -> Any:
    module_name, _, attribute = reference.partition(":")
    try:
        with _current_folder_first():
            module = importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything
        raise ConfigError(
            f"{reference}: the module {module_name!r} cannot be imported from {Path.cwd()} or the "
            f"installed packages: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        offered = [name for name in dir(module) if not name.startswith("_")]
        raise ConfigError(f"{reference}: {module_name} has no {attribute!r}, only {offered}")
    return getattr(module, attribute)


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.remove(str(Path.cwd()))


def _application(reference: str, build: Callable[..., Any], alpha: float | None) -> Network:
    arguments = {} if alpha is None else {"alpha": alpha}
    preprocess = getattr(sys.modules[build.__module__], "preprocess_input", _unchanged)
    try:
        # Nothing is computed in this scope, so a large network costs no memory.
        with keras.StatelessScope(initialize_variables=False):
            whole = build(weights=None, **arguments)
        cuts = block_outputs(whole)
        mean = _mean(whole, preprocess, reference)
    except ConfigError:
        raise
    except Exception as error:  # foreign code may raise anything
        raise ConfigError(f"{reference}: {type(error).__name__}: {error}") from error
    has_alpha = "alpha" in inspect.signature(build).parameters
    network = application_network(
        reference,
        Application(reference, build, preprocess, mean, arguments),
        size=whole.input.shape[1] or _SIZE,
        smallest_size=1,
        dropout=_DROPOUT,
        cuts=cuts,
        fine_tune_after=cuts[(len(cuts) - 1) // 2] if cuts else None,
        with_alpha=functools.partial(_application, reference, build) if has_alpha else None,
    )
    return dataclasses.replace(network, body=_checked(reference, network.body))


def _mean(whole: Any, preprocess: Callable[[Any], Any], reference: str) -> int:
    """Return the grey that the network's padding with zeros stands for, or one near to it."""
    inside = preprocessing_layers(whole, whole.input)
    if not inside:
        return PixelMap.of_function(preprocess, reference).zero
    normalizes = any(isinstance(layer, layers.Normalization) for layer in inside)
    return IMAGENET_MEAN if normalizes else MIDDLE


def _unchanged(images: Any) -> Any:
    return images


def _checked(reference: str, body: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Wrap a body so that what it gives is checked."""

    def checked(x: Tensor) -> Tensor:
        try:
            features = body(x)
        except ConfigError:
            raise
        except Exception as error:  # foreign code may raise anything
            raise ConfigError(f"{reference}: {type(error).__name__}: {error}") from error
        if not keras.backend.is_keras_tensor(features):
            raise ConfigError(
                f"{reference}: expected a symbolic Keras tensor with features of the given one, "
                f"got {type(features).__name__}"
            )
        if len(features.shape) not in _RANKS or None in features.shape[1:]:
            raise ConfigError(
                f"{reference}: expected features of the shape (batch, height, width, channels) or "
                f"(batch, features), got {features.shape}"
            )
        _refuse_foreign_layers(reference, x, features)
        return features

    return checked


def _refuse_foreign_layers(reference: str, x: Tensor, features: Tensor) -> None:
    try:
        operations = keras.Model(x, features).operations
    except ValueError as error:
        raise ConfigError(
            f"{reference}: expected features that follow from the given tensor: {error}"
        ) from error
    for operation in operations:
        if isinstance(operation, (keras.Model, layers.Lambda)) or not type(
            operation
        ).__module__.startswith("keras."):
            raise ConfigError(
                f"{reference}: holds {operation.name!r}, a {type(operation).__name__}; expected "
                "plain layers of Keras, none nested, none of own code, because others cannot be "
                "exported"
            )
        if operation.name in _RESERVED:
            raise ConfigError(
                f"{reference}: names a layer {operation.name!r}, which linegate does itself; give "
                "that layer another name"
            )
