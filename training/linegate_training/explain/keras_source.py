"""Looking into a Keras model as the training leaves it."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from linegate_bundle.decide import Float64Array, decide, dequantize, probabilities
from linegate_bundle.manifest import (
    Activation,
    DecisionPolicy,
    VoteMethod,
    VotePolicy,
)
from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import RunFolder
from linegate_training.explain.explanation import (
    Explanation,
    FilterBank,
    HeatMap,
    HeatMethod,
    Stage,
    StageInfo,
    StageKind,
    Target,
    target_of,
)
from linegate_training.explain.heat import occlusion, weighted_maps
from linegate_training.explain.source import ModelFacts, Source
from linegate_training.explain.stages import choose_stages
from linegate_training.networks.base import LOGITS, Tensor

NO_THRESHOLDS = DecisionPolicy(
    accept_at_most=0.0,
    reject_at_least=1.0,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=1, needed=None),
)
"""For choosing a label where no thresholds are known yet: all that is not certain is unsure."""

_BATCH = 32
_SPATIAL = 4
_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_PART_OF_A_STAGE = (
    keras.layers.BatchNormalization,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
)
"""What follows a convolution and is shown as one with it, as an int8 graph fuses it."""


@dataclasses.dataclass(frozen=True)
class _KerasStage:
    info: StageInfo
    output: Tensor


class KerasSource(Source):
    """A model from raw pixels to probabilities with a layer ``logits``.

    Args:
        model: the model.
        facts: what to say about it.
        activation: what follows its logits.
    """

    def __init__(self, model: keras.Model, facts: ModelFacts, activation: Activation) -> None:
        self.facts = facts
        self._model = model
        self._activation = activation
        self._logits = model.get_layer(LOGITS)
        self._class_map = _class_map(self._logits)
        every = _stages(model, self._class_map)
        self._stages = [every[place] for place in choose_stages([stage.info for stage in every])]
        self._last_convolution = next(
            (
                stage
                for stage in reversed(every)
                # A map of one place says nothing about where.
                if stage.info.kind is StageKind.CONVOLUTION and stage.info.places > 1
            ),
            None,
        )

    @property
    def filters(self) -> FilterBank | None:
        """See :attr:`Source.filters`."""
        for layer in self._model.layers:
            if type(layer) is keras.layers.Conv2D:
                return FilterBank(layer.name, np.asarray(layer.kernel, np.float32))
        return None

    def explain_pixels(self, pixels: UInt8Array) -> Explanation:
        """See :meth:`Source.explain_pixels`."""
        outputs = [*(stage.output for stage in self._stages), self._logits.output]
        *maps, logits = self._run(outputs, pixels[np.newaxis])
        decision = decide(
            probabilities(dequantize(logits, None), self._activation),
            self.facts.labels,
            NO_THRESHOLDS,
        )
        stages = tuple(
            Stage(stage.info, values[0]) for stage, values in zip(self._stages, maps, strict=True)
        )
        target = target_of(self.facts.labels, logits.shape[1], decision)
        return Explanation(
            pixels=pixels,
            colour=self.facts.preprocess.colour,
            decision=decision,
            policy=None,
            stages=stages,
            heat=self.heat_map(pixels, target),
        )

    def heat_map(self, pixels: UInt8Array, target: Target) -> HeatMap:
        """Return what in a picture ``(height, width, channels)`` speaks for a label."""
        if self._class_map is not None:
            (maps,) = self._run([self._class_map], pixels[np.newaxis])
            return _heat_map(maps[0, ..., target.logit], HeatMethod.CLASS_MAP, target)
        if self._last_convolution is None or keras.backend.backend() != "tensorflow":
            values = occlusion(pixels, self._logits_of, target.logit)
            return _heat_map(values, HeatMethod.OCCLUSION, target)
        maps, gradients = self._gradients(self._last_convolution.output, pixels, target.logit)
        return _heat_map(weighted_maps(maps, gradients), HeatMethod.GRAD_CAM, target)

    def _gradients(self, features: Tensor, pixels: UInt8Array, logit: int) -> tuple[Any, Any]:
        """Return feature maps of a picture and the gradient of a logit by them."""
        import tensorflow as tf  # noqa: PLC0415 - only where TensorFlow is the backend

        model = keras.Model(self._model.inputs[0], [features, self._logits.output])
        image = tf.constant(pixels[np.newaxis], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(image)  # frozen layers have nothing else that the tape would follow
            maps, logits = model(image, training=False)
            value = logits[0, logit]
        return maps[0].numpy(), tape.gradient(value, maps)[0].numpy()

    def _logits_of(self, pictures: UInt8Array) -> Float64Array:
        batches = [
            self._run([self._logits.output], pictures[start : start + _BATCH])[0]
            for start in range(0, len(pictures), _BATCH)
        ]
        return np.concatenate(batches).astype(np.float64)

    def _run(self, outputs: Sequence[Tensor], pictures: UInt8Array) -> list[Any]:
        model = keras.Model(self._model.inputs[0], list(outputs))
        results = model(pictures.astype(np.float32), training=False)
        return [keras.ops.convert_to_numpy(result) for result in keras.tree.flatten(results)]


def open_run(path: Path) -> KerasSource:
    """Open the model of a run folder.

    Raises:
        DataError: not a run folder, or an unfinished or altered one.
    """
    run = RunFolder(path)
    record = run.read_record()
    origin = (
        f"the float model of a training (network {record.network}), run by Keras. "
        "Thresholds come with the export, so there is no verdict yet"
    )
    facts = ModelFacts(record.name, origin, record.labels, record.preprocess)
    model = keras.models.load_model(run.model, safe_mode=True)
    return KerasSource(model, facts, record.activation)


def _heat_map(values: Any, method: HeatMethod, target: Target) -> HeatMap:
    return HeatMap(values, method, target.speaks_for, target.speaks_against)


def _class_map(logits: keras.layers.Layer) -> Tensor | None:
    """Return the logits at every place, where the head averages them."""
    return logits.input if isinstance(logits, keras.layers.GlobalAveragePooling2D) else None


def _stages(model: keras.Model, class_map: Tensor | None) -> list[_KerasStage]:
    followers = _followers(model)
    stages: dict[int, _KerasStage] = {}
    for layer in model.layers:
        kind = _kind(layer)
        if isinstance(layer, keras.layers.Concatenate):
            parts = {id(tensor) for tensor in keras.tree.flatten(layer.input)}
            if parts <= stages.keys():
                # What is only put beside each other is one stage, such as AlexNet's groups.
                stages = {key: stage for key, stage in stages.items() if key not in parts}
                kind = StageKind.CONVOLUTION
        if kind is not None and layer.output is not class_map:
            stage = _stage_from(layer, kind, followers)
            stages[id(stage.output)] = stage
    return list(stages.values())


def _stage_from(
    layer: keras.layers.Layer, kind: StageKind, followers: Mapping[str, list[keras.layers.Layer]]
) -> _KerasStage:
    last = layer
    while len(followers[last.name]) == 1 and isinstance(followers[last.name][0], _PART_OF_A_STAGE):
        last = followers[last.name][0]
    return _KerasStage(StageInfo(last.name, kind, last.output.shape[1:]), last.output)


def _kind(layer: keras.layers.Layer) -> StageKind | None:
    if isinstance(layer, _CONVOLUTIONS) and len(layer.output.shape) == _SPATIAL:
        return StageKind.CONVOLUTION
    return StageKind.POOLING if isinstance(layer, _POOLINGS) else None


def _followers(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """List for every layer, by name, those that take its output."""
    producer = {id(layer.output): layer.name for layer in model.layers}
    result: dict[str, list[keras.layers.Layer]] = defaultdict(list)
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        for tensor in keras.tree.flatten(layer.input):
            if id(tensor) in producer:
                result[producer[id(tensor)]].append(layer)
    return result
