"""Which pictures count as trials of their own.

Pictures of one group show one part, or parts that lay side by side: they go right or wrong
together, so that ten of them tell hardly more than one. A proof that counted each of them would
break its promise (``tests/export/test_promise.py``). So of each group one picture counts.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from linegate_bundle.run_folder import SplitRow

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def one_of_each_group(rows: Sequence[SplitRow], among: BoolArray) -> IntArray:
    """Return the places of one picture of each group.

    The SHA-256 decides which one, so that it has nothing to do with order or names, nor with
    what a model says.

    Args:
        rows: the pictures.
        among: shape ``(n,)``; pictures that may be taken.
    """
    chosen: dict[str, int] = {}
    for place in np.flatnonzero(among).tolist():
        row = rows[place]
        if row.group not in chosen or row.sha256 < rows[chosen[row.group]].sha256:
            chosen[row.group] = place
    return np.array(sorted(chosen.values()), np.int64)
