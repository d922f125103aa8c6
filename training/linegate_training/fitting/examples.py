"""What is learned from: inputs, and what is to be learned about them."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.manifest import Label, Role
from linegate_bundle.run_folder import Part
from linegate_training.augment.augmenter import Augmenter
from linegate_training.data.prepare import Prepared
from linegate_training.data.scan import name_some
from linegate_training.fitting.sources import Float32Array, IntArray, PixelSource, Source
from linegate_training.options import Balance, Cost

_BINARY = 2
"""Two labels share one logit, which speaks for the second."""

BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is known of some images.

    Attributes:
        labels: number of each image's label in the model's order, shape ``(images,)``.
        targets: what the loss compares with, float32 of shape ``(images, outputs)``, from
            0 to 1: one column for two labels, else one a label with rows that sum to 1.
        weights: how much each image counts, float32 of shape ``(images,)``, 1 on average.
        defects: for each label, whether it is a defect.
        chances: how likely each image is to be drawn; None shows each once an epoch.
    """

    labels: IntArray
    targets: Float32Array
    weights: Float32Array
    defects: BoolArray
    chances: Float64Array | None = None


@dataclasses.dataclass(frozen=True)
class Examples:
    """Inputs with the truth about them, in the same order."""

    source: Source
    truth: Truth


def collect(
    prepared: Prepared, part: Part, labels: Sequence[Label], augmenter: Augmenter
) -> Examples:
    """Collect the images of one part, every one once and counting what its row says.

    Images of weight 0 are left out of the train part.

    Raises:
        DataError: no image of a class has a weight above 0 in the train part.
    """
    numbers = {label.name: number for number, label in enumerate(labels)}
    counting = prepared.weights(part)
    # Validation judges every image, and each as much as the others.
    kept = np.flatnonzero(counting > 0) if part is Part.TRAIN else np.arange(len(counting))
    weights = counting[kept] if part is Part.TRAIN else np.ones(len(kept), np.float32)
    chosen = [prepared.part(part)[index] for index in kept]
    silent = sorted(numbers.keys() - {row.label for row in chosen})
    if silent and part is Part.TRAIN:
        raise DataError(
            f"expected images of every class to train on, but those of {name_some(silent)} have "
            "all weight 0; give some a weight, or leave out the class"
        )
    rows = np.array([prepared.pixels.rows[row.sha256] for row in chosen])
    truth = Truth(
        labels=np.array([numbers[row.label] for row in chosen]),
        targets=prepared.targets(part, labels)[kept],
        weights=weights / weights.mean(),
        defects=np.array([label.role is Role.DEFECT for label in labels]),
    )
    if len(labels) == _BINARY:
        truth = dataclasses.replace(truth, targets=truth.targets[:, 1:])
    return Examples(PixelSource(prepared.pixels.array, rows, augmenter), truth)


def balanced(truth: Truth, balance: Balance) -> Truth:
    """Make classes count, or come, alike."""
    counts = np.bincount(truth.labels, minlength=len(truth.defects))
    factors = len(truth.labels) / np.maximum(counts, 1)
    if balance is Balance.WEIGHTS:
        return _weighted(truth, factors[truth.labels])
    if balance is Balance.SAMPLING:
        return dataclasses.replace(truth, chances=factors[truth.labels])
    return truth


def costly(truth: Truth, labels: Sequence[Label], costs: Sequence[Cost]) -> Truth:
    """Make images count by what their errors cost; an error that is not named costs 1.

    An image's weight is the sum of what its label's errors cost (Ting, "An
    instance-weighting method to induce cost-sensitive trees", 2002), which for two
    classes is exact.

    Raises:
        ConfigError: see :func:`check_costs`.
    """
    check_costs(labels, costs)
    names = [label.name for label in labels]
    matrix = np.ones((len(names), len(names))) - np.eye(len(names))
    for cost in costs:
        matrix[names.index(cost.truth), names.index(cost.given)] = cost.cost
    return _weighted(truth, matrix.sum(axis=1)[truth.labels])


def _weighted(truth: Truth, factors: Float64Array) -> Truth:
    weights = truth.weights * factors
    return dataclasses.replace(truth, weights=(weights / weights.mean()).astype(np.float32))


def check_costs(labels: Sequence[Label], costs: Sequence[Cost]) -> None:
    """Check costs before anything is computed.

    Raises:
        ConfigError: a class that is not there, a class taken for itself, an error named
            twice, or a cost that is not above 0.
    """
    names = [label.name for label in labels]
    for cost in costs:
        unknown = [name for name in (cost.truth, cost.given) if name not in names]
        if unknown:
            raise ConfigError(
                f"expected costs of errors between {', '.join(names)}, got {', '.join(unknown)}"
            )
        if cost.truth == cost.given:
            raise ConfigError(f"{cost.truth} taken for {cost.given} is no error; give it no cost")
        if not 0 < cost.cost < float("inf"):
            raise ConfigError(f"expected a cost above 0, got {cost.cost}")
    twice = [
        " taken for ".join(error)
        for error, count in Counter((cost.truth, cost.given) for cost in costs).items()
        if count > 1
    ]
    if twice:
        raise ConfigError(f"expected one cost an error, got several for {', '.join(twice)}")
