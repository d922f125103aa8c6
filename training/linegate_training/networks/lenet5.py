"""LeNet-5: LeCun et al., "Gradient-based learning applied to document recognition", 1998.

Layers, their names and the connections of C3 are those of section II.B and table I,
so the layers up to F6 have the 60,000 trainable parameters of the paper. What differs:

* The output is a dense layer instead of distances to fixed codes of characters.
* The squashing function is tanh(x) instead of 1.7159 tanh(2x / 3). The networks that
  can be expressed are the same, for both factors can be put into neighbouring weights.
* Subsampling averages instead of summing four units; its trainable factor makes it equal.
"""

from keras import layers, ops

from linegate_bundle.manifest import Colour
from linegate_training.networks.base import Network, Tensor

_C1_MAPS = 6
_C3_INPUTS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""Table I: which maps of S2 each map of C3 sees."""


def _body(x: Tensor) -> Tensor:
    x = layers.Conv2D(_C1_MAPS, 5, activation="tanh", name="c1")(x)
    x = _subsampling(x, "s2")
    x = _c3(x)
    return _subsampling(x, "s4")


def _c3(x: Tensor) -> Tensor:
    seen = ops.split(x, _C1_MAPS, axis=-1)
    maps = []
    for number, inputs in enumerate(_C3_INPUTS):
        y = layers.Concatenate(name=f"c3_{number}_inputs")([seen[index] for index in inputs])
        maps.append(layers.Conv2D(1, 5, name=f"c3_{number}")(y))
    x = layers.Concatenate(name="c3")(maps)
    return layers.Activation("tanh", name="c3_tanh")(x)


def _subsampling(x: Tensor, name: str) -> Tensor:
    """Halve the size; one factor and one bias a map are trained."""
    x = layers.AveragePooling2D(2, name=f"{name}_mean")(x)
    x = layers.DepthwiseConv2D(1, name=f"{name}_factor")(x)
    return layers.Activation("tanh", name=name)(x)


def _hidden(x: Tensor) -> Tensor:
    x = layers.Conv2D(120, 5, activation="tanh", name="c5")(x)
    x = layers.Flatten(name="flatten")(x)
    return layers.Dense(84, activation="tanh", name="f6")(x)


LENET5 = Network(
    name="lenet5",
    size=32,
    smallest_size=32,
    colour=Colour.GRAY,
    scale=1 / 128,
    offset=-1.0,
    body=_body,
    hidden=_hidden,
    cuts=("s2", "s4"),
    fine_tune_after="s2",
)
