"""Quantization-aware fine-tuning: weights learn to give the float model's answers in int8.

The int8 model is simulated with its own scales: activations are rounded and cut as it does, and
weights are rounded to whole steps, where the gradient takes rounding for nothing (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018). What is learned are the answers of the float model, not the labels (Hinton et al.,
"Distilling the Knowledge in a Neural Network", 2015), so that nothing new is learned, and no
label is needed.

Weights move in steps of their own channel's scale, biases in steps of what they are added to. So
a rate means the same in every layer, however large its numbers are. The largest weight of a
channel stays, for it makes the scale.
"""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from linegate_bundle.manifest import LOGITS
from linegate_bundle.preprocess import UInt8Array
from linegate_export.graph import Deployable
from linegate_export.progress import bar
from linegate_export.quantization.simulation import Simulation, Value
from linegate_export.tflite_edit import constants, dequantized, with_constants
from linegate_export.tflite_file import (
    BIAS,
    WEIGHTS,
    Operator,
    Tensor,
    quantized_layers,
    read_tflite,
)

Float32Array = npt.NDArray[np.float32]

STEPS = 150
BATCH = 16
RATE = 0.05
"""Largest change of a weight in one step of the optimizer, in steps of int8."""

_LARGEST = 127
_FIXED = 126.5


@dataclasses.dataclass(frozen=True)
class _Learned:
    """A constant that is trained, in steps.

    Attributes:
        steps: the variable.
        size: of one step, of a shape that multiplies it.
        free: 1 where it may move, else 0.
        whole: whether it is rounded to whole steps.
    """

    steps: tf.Variable
    size: Float32Array
    free: Float32Array
    whole: bool

    def value(self) -> Value:
        """Return the constant; the gradient passes through rounding."""
        steps = self.steps
        if self.whole:
            steps = steps + tf.stop_gradient(_rounded(steps) - steps)
        return steps * self.size

    def result(self) -> Float32Array:
        """Return the constant after the training."""
        steps = _rounded(self.steps) if self.whole else self.steps
        return np.asarray(steps * self.size, np.float32)


def fine_tune(
    model: Deployable, tflite: bytes, int8: bytes, reference: bytes, pictures: UInt8Array
) -> bytes:
    """Return the float graph with weights and biases that suit int8.

    Converted with the same ranges it gives an int8 model that is nearer to ``reference``.

    Args:
        model: the trained model.
        tflite: the float graph that ``int8`` was made from.
        int8: the int8 model; its scales are used, and its biases are where the training starts.
        reference: a float graph; its logits are learned.
        pictures: raw pixels of the train part, uint8 ``(n, height, width, channels)``.

    Raises:
        RequirementError: an operator of the graph is not simulated.
    """
    simulation, teacher = Simulation(tflite), Simulation(reference)
    learned = _learned(tflite, int8)
    quantize = _rounds_like(int8)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(RATE, STEPS), beta_2=0.99
    )
    variables = [one.steps for one in learned.values()]
    optimizer.build(variables)
    scale, offset = model.normalization.scale, model.normalization.offset

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step(pixels: Value) -> Value:
        image = tf.cast(pixels, tf.float32) * scale + offset
        wanted = teacher(image, {}, lambda _, value: value)[LOGITS]
        with tf.GradientTape() as tape:
            weights = {name: one.value() for name, one in learned.items()}
            given = simulation(image, weights, quantize)[LOGITS]
            loss = tf.reduce_mean(tf.square(given - wanted))
        gradients = tape.gradient(loss, variables)
        frees = [one.free for one in learned.values()]
        optimizer.apply_gradients(
            (gradient * free, variable)
            for gradient, free, variable in zip(gradients, frees, variables, strict=True)
            if gradient is not None
        )
        return loss

    for pixels in bar(_batches(pictures), "fine-tuning int8", STEPS):
        step(tf.constant(pixels))
    return with_constants(tflite, {name: one.result() for name, one in learned.items()})


def _rounds_like(int8: bytes) -> Callable[[Tensor, Value], Value]:
    """Return what rounds and cuts a tensor as the int8 model does, with a gradient."""
    quantized = {
        tensor.name: tensor.quantization
        for operator in read_tflite(int8).operators
        for tensor in (*operator.inputs[:1], *operator.outputs)
    }

    def quantize(tensor: Tensor, value: Value) -> Value:
        quantization = quantized.get(tensor.name)
        if quantization is None:
            return value
        low = (-_LARGEST - 1 - quantization.zero_point) * quantization.scale
        high = (_LARGEST - quantization.zero_point) * quantization.scale
        return tf.quantization.fake_quant_with_min_max_args(value, low, high, num_bits=8)

    return quantize


def _batches(pictures: UInt8Array) -> list[UInt8Array]:
    """Return as many batches as there are steps, each picture as often as any other."""
    rng = np.random.default_rng(0)
    passes = math.ceil(STEPS * BATCH / len(pictures))
    order = np.concatenate([rng.permutation(len(pictures)) for _ in range(passes)])
    return [pictures[order[place * BATCH : (place + 1) * BATCH]] for place in range(STEPS)]


def _learned(tflite: bytes, int8: bytes) -> dict[str, _Learned]:
    """Return weights and biases of all layers that are int8, by their name in the float graph."""
    values = constants(tflite)
    learned: dict[str, _Learned] = {}
    for layer, other in quantized_layers(read_tflite(tflite), read_tflite(int8)):
        name = layer.inputs[WEIGHTS].name
        if name not in values:
            continue
        learned[name] = _weights(values[name], other.inputs[WEIGHTS])
        if len(layer.inputs) > BIAS and len(other.inputs) > BIAS:
            learned[layer.inputs[BIAS].name] = _bias(other, int8)
    return learned


def _weights(values: Float32Array, stored: Tensor) -> _Learned:
    shape = [1] * values.ndim
    shape[stored.axis] = len(stored.scales)
    size = np.asarray(stored.scales, np.float32).reshape(shape)
    steps = values / size
    return _Learned(
        steps=tf.Variable(steps),
        size=size,
        free=(np.abs(steps) < _FIXED).astype(np.float32),
        whole=True,
    )


def _bias(operator: Operator, int8: bytes) -> _Learned:
    stored = operator.inputs[BIAS]
    output = operator.outputs[0].quantization
    values = dequantized(int8, stored)
    size = np.float32(1.0 if output is None else output.scale)
    steps = (values / size).astype(np.float32)
    return _Learned(
        steps=tf.Variable(steps),
        size=np.full_like(steps, size),
        free=np.ones_like(steps),
        whole=False,
    )


def _rounded(steps: Value) -> Value:
    return tf.clip_by_value(tf.round(steps), -_LARGEST, _LARGEST)
