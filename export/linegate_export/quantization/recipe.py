"""What makes an int8 model, and trying it: a float graph, ranges, exempt operators, biases."""

import dataclasses
import enum
import math
from collections.abc import Callable

import msgspec

from linegate_bundle.errors import EngineError
from linegate_bundle.preprocess import UInt8Array
from linegate_export import tflite_int8
from linegate_export.conversion import Artifact, ConversionError
from linegate_export.graph import Deployable
from linegate_export.quantization import bias_correction
from linegate_export.quantization.fidelity import Fidelity, Judge
from linegate_export.quantization.ranges import Observed, Ranges, observe
from linegate_export.tflite_file import read_tflite


class Means(enum.StrEnum):
    """What is done for fidelity, in the order in which it is tried."""

    CALIBRATION = "calibration"
    BIASES = "biases"
    EQUALIZATION = "equalization"
    FINE_TUNING = "fine-tuning"
    FLOAT_OPERATORS = "float operators"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes an int8 model.

    Attributes:
        means: the last thing that was changed.
        title: what is special about it, for people.
        tflite: the float graph.
        ranges: of its tensors.
        exempt: names of tensors whose operators stay in float.
        corrected: whether its biases are corrected afterwards.
        untuned: the recipe before fine-tuning, whose float graph still computes what float does.
    """

    means: Means
    title: str
    tflite: bytes
    ranges: Ranges
    exempt: frozenset[str] = frozenset()
    corrected: bool = False
    untuned: "Recipe | None" = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that was tried, and how near it came to the float model.

    Attributes:
        means: see :class:`Recipe`.
        title: see :class:`Recipe`.
        fidelity: None if the engine refuses the model.
        float_operators: how many operators compute in float.
        size_bytes: of the model.
        taken: whether it is the one that was taken in the end.
    """

    means: Means
    title: str
    fidelity: Fidelity | None
    float_operators: int
    size_bytes: int
    taken: bool = False

    @property
    def error(self) -> float:
        """Of the fidelity; infinite if the engine refuses the model."""
        return math.inf if self.fidelity is None else self.fidelity.error


@dataclasses.dataclass(frozen=True)
class Tried:
    """An attempt with all that it was made of."""

    recipe: Recipe
    artifact: Artifact
    attempt: Attempt


class Workshop:
    """All that trying recipes needs; keeps what was tried.

    Args:
        model: the trained model.
        reference: float TFLite, as converted.
        pictures: raw pixels of the train part, uint8 ``(n, height, width, channels)``.
        judge: knows the float model's answers.
        note: takes what is worth telling.

    Attributes:
        attempts: in the order in which they were made.
        refusal: what the engine said last when it refused a model, or nothing.
    """

    def __init__(
        self,
        model: Deployable,
        reference: bytes,
        pictures: UInt8Array,
        judge: Judge,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.model = model
        self.reference = reference
        self.pictures = pictures
        self.note = note
        self.attempts: list[Attempt] = []
        self.refusal = ""
        self._judge = judge

    def observe(self, tflite: bytes) -> Observed:
        """Observe the tensors of a float graph on the workshop's pictures."""
        return observe(
            tflite, self.pictures, self.model.normalization, histograms_of=_HISTOGRAMS_OF
        )

    def make(self, recipe: Recipe) -> Artifact:
        """Make a model."""
        artifact = tflite_int8.convert(self.model, recipe.tflite, recipe.ranges, recipe.exempt)
        return self._correct(artifact, recipe) if recipe.corrected else artifact

    def try_recipe(self, recipe: Recipe) -> Tried:
        """Make a model and hold it against the float one."""
        artifact = self.make(dataclasses.replace(recipe, corrected=False))
        try:
            if recipe.corrected:
                artifact = self._correct(artifact, recipe)
            fidelity = self._judge(artifact)
        except (EngineError, ConversionError) as error:
            # Scales that lie too far from each other are more than a kernel can multiply by.
            fidelity = None
            self.refusal = str(error)
            self.note(f"{recipe.means}, {recipe.title}: {error}")
        attempt = Attempt(
            means=recipe.means,
            title=recipe.title,
            fidelity=fidelity,
            float_operators=_count_float(artifact),
            size_bytes=len(artifact.content),
        )
        self.attempts.append(attempt)
        if fidelity is not None:
            self.note(
                f"{recipe.means}, {recipe.title}: {100 * fidelity.agreement:.1f} % as float, "
                f"error {fidelity.error:.3f}"
            )
        return Tried(recipe, artifact, attempt)

    def _correct(self, artifact: Artifact, recipe: Recipe) -> Artifact:
        return bias_correction.correct(
            artifact, recipe.tflite, self.pictures, self.model.normalization
        )


def _count_float(artifact: Artifact) -> int:
    """Count the operators that compute in float; some exempt ones need not, and do not."""
    return sum(
        operator.outputs[0].dtype == "float32" and operator.name != "DEQUANTIZE"
        for operator in read_tflite(artifact.content).operators
    )


_HISTOGRAMS_OF = 64
"""Pictures; each has a hundred thousand values or more a tensor."""


def nearest(tried: list[Tried]) -> Tried:
    """Return the one with the least error; of equal ones the first."""
    return min(tried, key=lambda one: one.attempt.error)
