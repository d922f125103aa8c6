"""What can be explained, and how a picture gets into it."""

import abc
import dataclasses

from linegate_bundle.manifest import Label, PreprocessSpec
from linegate_bundle.preprocess import Preprocessor, UInt8Array
from linegate_training.explain.explanation import Explanation, FilterBank


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a page says about a model.

    Attributes:
        title: name of the model, with its version if it has one.
        origin: one sentence on where the pictures of its inside come from.
        labels: in the order of the model.
        preprocess: how frames become its input.
    """

    title: str
    origin: str
    labels: tuple[Label, ...]
    preprocess: PreprocessSpec


class Source(abc.ABC):
    """A model that can be looked into."""

    facts: ModelFacts

    @property
    @abc.abstractmethod
    def filters(self) -> FilterBank | None:
        """The first convolution; None if the model has none."""

    @abc.abstractmethod
    def explain_pixels(self, pixels: UInt8Array) -> Explanation:
        """Explain one preprocessed picture, uint8 ``(height, width, channels)``."""


def explain(source: Source, frame: UInt8Array) -> Explanation:
    """Explain what a model sees in one picture.

    Args:
        source: a run or a bundle, see :func:`linegate_training.explain.open.open_source`.
        frame: BGR uint8 ``(height, width, 3)`` as :func:`linegate_bundle.images.read_image`
            gives it; it is preprocessed as on the device.

    Raises:
        DataError: ``frame`` has another shape or dtype.
        EngineError: the model gives what is not finite.
    """
    return source.explain_pixels(Preprocessor(source.facts.preprocess)(frame))
