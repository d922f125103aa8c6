"""From float to int8: calibrations are compared, and what does not hold is repaired.

Always: several ways to set the ranges are compared by how near the int8 model comes to the
float one, and the best get their biases corrected. If that is not near enough, the ladder is
climbed, one means after the other, until it is.

All that is measured here is measured on pictures of the validation part (and of the train part
where that is small), without labels. The test part is not looked at: it judges the result once.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import msgspec
import numpy as np

from linegate_export.conversion import Artifact, ConversionError, RequirementError
from linegate_export.policy import allowed_count
from linegate_export.progress import Steps
from linegate_export.quantization import repairs
from linegate_export.quantization.options import Repair, RepairOptions
from linegate_export.quantization.ranges import Ranges
from linegate_export.quantization.recipe import Attempt, Means, Recipe, Tried, Workshop, nearest

STEPS = 2
"""How many steps :func:`quantize` announces."""

_DRAWS = 3
_CORRECTED = 2
"""How many of the calibrations get their biases corrected; it takes ten seconds each."""

_PERCENTILE = 0.9999


@dataclasses.dataclass(frozen=True)
class Quantized:
    """The int8 model that came nearest to the float one, and all that was tried."""

    artifact: Artifact
    recipe: Recipe
    attempts: tuple[Attempt, ...]


def quantize(shop: Workshop, options: RepairOptions, steps: Steps) -> Quantized:
    """Make an int8 model that answers like the float one.

    Args:
        shop: the workshop of the model.
        options: when to repair.
        steps: told what is tried.

    Raises:
        RequirementError: there is no picture to set the ranges with.
        ConversionError: the quantizer did not do what was asked.
        EngineError: an engine is missing or fails.
    """
    if len(shop.pictures) == 0:
        raise RequirementError("expected at least one picture to calibrate int8 with, got none")
    steps(f"Converting to int8 TFLite with {len(shop.pictures)} representative pictures")
    tried = _try_all(shop, _calibrations(shop))
    # An engine that refuses a model does so for its scales, whatever its biases are.
    runs = [one for one in tried if one.attempt.fidelity is not None]
    plain = sorted(runs, key=lambda one: one.attempt.error)[:_CORRECTED]
    steps("Correcting the biases of int8 TFLite")
    tried += _try_all(shop, (corrected(one.recipe) for one in plain))
    best = _best(tried, options)
    if options.repair is Repair.AUTO:
        best = _climb(shop, best, options)
    if best.attempt.fidelity is None:
        raise ConversionError(
            "expected an int8 model that its engine runs, it refuses all that were tried: "
            f"{shop.refusal}; --repair auto may find one where it is off, else train with batch "
            "normalization, or another network"
        )
    attempts = tuple(
        msgspec.structs.replace(one, taken=one is best.attempt) for one in shop.attempts
    )
    return Quantized(best.artifact, best.recipe, attempts)


def _climb(shop: Workshop, best: Tried, options: RepairOptions) -> Tried:
    """Try what repairs until a model is near enough; of all that were tried give the nearest."""
    for rung in _RUNGS:
        if near_enough(best.attempt, options):
            break
        for recipe in rung(shop, best):
            best = _best([best, shop.try_recipe(recipe)], options)
            if near_enough(best.attempt, options):
                break
    return best


_RUNGS: tuple[Callable[[Workshop, Tried], Iterable[Recipe]], ...] = (
    repairs.equalization,
    repairs.fine_tuning,
    repairs.float_operators,
)
"""What repairs, in order; each gives the recipes to try after the best so far."""


def _best(tried: list[Tried], options: RepairOptions) -> Tried:
    """Return the one with the least error, of those that are near enough if any is."""
    return nearest([one for one in tried if near_enough(one.attempt, options)] or tried)


def corrected(recipe: Recipe) -> Recipe:
    """Return the same recipe with its biases corrected afterwards."""
    return dataclasses.replace(recipe, means=Means.BIASES, corrected=True)


def _calibrations(shop: Workshop) -> Iterator[Recipe]:
    observed = shop.observe(shop.reference)

    def recipe(title: str, ranges: Ranges) -> Recipe:
        return Recipe(Means.CALIBRATION, title, shop.reference, ranges)

    for draw, chosen in enumerate(_draws(len(shop.pictures)), start=1):
        title = f"smallest to largest value of {len(chosen)} pictures, draw {draw}"
        yield recipe(title, observed.min_max(chosen))
    count = len(shop.pictures)
    yield recipe(f"smallest to largest value of {count} pictures", observed.min_max())
    yield recipe(f"the middle {100 * _PERCENTILE:g} % of values", observed.percentile(_PERCENTILE))
    yield recipe("least squared error", observed.least_error())


def _draws(count: int) -> list[list[int]]:
    """Divide the pictures at random into as many draws as there are; few make one."""
    if count < _DRAWS * _FEWEST_IN_A_DRAW:
        return []
    shuffled = np.random.default_rng(0).permutation(count)
    return [sorted(part.tolist()) for part in np.array_split(shuffled, _DRAWS)]


_FEWEST_IN_A_DRAW = 16


def _try_all(shop: Workshop, recipes: Iterable[Recipe]) -> list[Tried]:
    return [shop.try_recipe(recipe) for recipe in recipes]


def near_enough(attempt: Attempt, options: RepairOptions) -> bool:
    """Tell whether a model gives the float model's label on as many pictures as it must."""
    fidelity = attempt.fidelity
    if fidelity is None:
        return False
    count = fidelity.pictures
    differing = round((1 - fidelity.agreement) * count)
    return differing <= max(1, count + allowed_count(-options.minimum_fidelity, count))
