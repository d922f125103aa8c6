"""What an explanation is made of; plain values, whether they come from Keras or from TFLite."""

import dataclasses
import enum

import numpy as np
import numpy.typing as npt

from linegate_bundle.decide import Decision
from linegate_bundle.manifest import Colour, DecisionPolicy, Label
from linegate_bundle.preprocess import UInt8Array

Float32Array = npt.NDArray[np.float32]


class StageKind(enum.StrEnum):
    """What a stage of a network does."""

    CONVOLUTION = "convolution"
    POOLING = "pooling"


class HeatMethod(enum.StrEnum):
    """Where a heat map comes from.

    ``class map``: the logits at every place, before the network averages them; nothing
    is estimated. ``Grad-CAM``: the last feature maps, weighted by how much the logit
    rises with each (Selvaraju et al., 2017). ``occlusion``: how much the logit falls
    when a place is covered (Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", 2014).
    """

    CLASS_MAP = "class map"
    GRAD_CAM = "Grad-CAM"
    OCCLUSION = "occlusion"


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """The kernels of the first convolution.

    Attributes:
        layer: its name.
        kernels: float32 ``(height, width, inputs, filters)``.
    """

    layer: str
    kernels: Float32Array


@dataclasses.dataclass(frozen=True)
class StageInfo:
    """A stage of a network, without its values; sizes in cells.

    Attributes:
        name: of the layer whose output it is.
        kind: what it does.
        shape: ``(height, width, channels)`` of its output.
    """

    name: str
    kind: StageKind
    shape: tuple[int, int, int]

    @property
    def places(self) -> int:
        """Cells of each of its maps."""
        return self.shape[0] * self.shape[1]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage with what it gives for one picture.

    Attributes:
        info: which stage.
        maps: float32 ``(height, width, channels)``.
    """

    info: StageInfo
    maps: Float32Array


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """What speaks for a label, place by place.

    Attributes:
        values: float32 ``(rows, columns)``; above 0 speaks for, below 0 against.
        method: how it was found.
        speaks_for: the label that it is about.
        speaks_against: the other one if there are two labels, else None.
        step: smallest difference that the values can show, for maps stored in 8 bits.
    """

    values: Float32Array
    method: HeatMethod
    speaks_for: str
    speaks_against: str | None
    step: float | None = None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a network saw in one picture.

    Attributes:
        pixels: the model's input, uint8 ``(height, width, channels)``.
        colour: what its channels are.
        decision: what the model thinks of it.
        policy: thresholds behind ``decision.verdict``; None where there are none yet,
            as in a run folder, and the verdict means nothing.
        stages: feature maps in the order of the data flow.
        heat: what decided.
    """

    pixels: UInt8Array
    colour: Colour
    decision: Decision
    policy: DecisionPolicy | None
    stages: tuple[Stage, ...]
    heat: HeatMap


@dataclasses.dataclass(frozen=True)
class Target:
    """The logit that a heat map is about.

    Attributes:
        logit: its place among the logits.
        speaks_for: label that it speaks for.
        speaks_against: see :class:`HeatMap`.
    """

    logit: int
    speaks_for: str
    speaks_against: str | None


def target_of(labels: tuple[Label, ...], logits: int, decision: Decision) -> Target:
    """Choose what to explain: with one logit that one, else that of the label given."""
    names = [label.name for label in labels]
    if logits == 1:
        return Target(0, speaks_for=names[1], speaks_against=names[0])
    return Target(names.index(decision.label), decision.label, None)
