"""Which stages of a network to show: all of a small one, the turning points of a deep one."""

from collections.abc import Sequence

import numpy as np

from linegate_training.explain.explanation import StageInfo

MOST_STAGES = 12


def choose_stages(stages: Sequence[StageInfo], most: int = MOST_STAGES) -> list[int]:
    """Return the places of the stages to show, in order.

    If there are more than ``most``: the first and the last of every resolution, so that
    one sees what each change of resolution did; if even those are too many, the last of
    every resolution, spread evenly with the first and the deepest among them.

    Args:
        stages: in the order of the data flow.
        most: at least 2.
    """
    if len(stages) <= most:
        return list(range(len(stages)))
    resolutions = [stage.shape[:2] for stage in stages]
    ends = [
        place
        for place, resolution in enumerate(resolutions)
        if place + 1 == len(stages) or resolutions[place + 1] != resolution
    ]
    starts = [0, *(place + 1 for place in ends[:-1])]
    both = sorted({*starts, *ends})
    if len(both) <= most:
        return both
    some = [0, *(end for end in ends if end)]
    places = np.unique(np.linspace(0, len(some) - 1, min(most, len(some))).round().astype(int))
    return [some[place] for place in places]
