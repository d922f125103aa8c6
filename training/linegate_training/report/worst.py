"""The pictures that are wrong with the greatest certainty, and where the network looked."""

import dataclasses

from linegate_bundle.preprocess import UInt8Array
from linegate_training.explain.explanation import HeatMap, target_of
from linegate_training.explain.keras_source import KerasSource
from linegate_training.report.evaluation import Evaluation

MOST_ERRORS = 12


@dataclasses.dataclass(frozen=True)
class WorstError:
    """A picture with a wrong label.

    Attributes:
        place: of the picture in the evaluation.
        pixels: as the network saw it, uint8 ``(height, width, channels)``.
        heat: what spoke for and against the label.
    """

    place: int
    pixels: UInt8Array
    heat: HeatMap


def worst_errors(
    evaluation: Evaluation, source: KerasSource, most: int = MOST_ERRORS
) -> tuple[WorstError, ...]:
    """Return the surest wrong ones, the surest first, with their heat maps."""
    decisions = evaluation.decisions
    wrong = [place for place, right in enumerate(evaluation.right) if not right]
    wrong.sort(key=lambda place: -decisions[place].probability)
    errors = []
    for place in wrong[:most]:
        pixels = evaluation.picture(place)
        target = target_of(evaluation.labels, evaluation.logits.shape[1], decisions[place])
        errors.append(WorstError(place, pixels, source.heat_map(pixels, target)))
    return tuple(errors)
