"""How much time has passed between two frames, by how far the parts in them have come.

A frame's time says when it came in, not when it was taken; over a network or on a busy
machine the two differ by several frame periods, and parts may then seem to be where their
neighbours were to be expected. What the picture shows is surer: parts on a belt keep their
order and their gaps, leave at one end and come in at the other.
"""

from collections.abc import Sequence

from linegate_runtime.triggers.scene import Blob

_TOLERANCE_SHARE = 0.15
"""A blob is where a step leads if it is off by less than this share of its length."""

_MISSING = 0.6
"""What it costs that a part should be in view and is not, or that one is in view which should
have been seen before; a part that is where it should be gives 1."""

_SURPRISE = 0.25
"""What it costs that a step is off the expected one by the length of a part."""

_CLEARLY_BETTER = 0.5
"""By so much another step must fit better than the expected one."""

_DELAY_S = 0.3
"""By so much the times of two frames may be wrong; what is older went by while no frame came."""


def likely_time(
    before: Sequence[Blob],
    now: Sequence[Blob],
    velocity: tuple[float, float],
    elapsed_s: float,
    region: tuple[float, float],
) -> float:
    """Return after how many seconds the parts would be where the second frame shows them.

    Args:
        before: parts in the frame before.
        now: blobs in this one.
        velocity: of the parts in pixels a second, horizontal and vertical; only the faster
            of the two is looked at.
        elapsed_s: between the two frames by their times.
        region: width and height of the region of interest.

    Returns:
        The elapsed time, or another one that explains clearly more.
    """
    axis = 0 if abs(velocity[0]) >= abs(velocity[1]) else 1
    hoped = velocity[axis] * elapsed_s
    if not before or not now or hoped == 0:
        return elapsed_s
    length = max(_length(blob, axis) for blob in (*before, *now))
    shortest_s, longest_s = max(0.0, elapsed_s - _DELAY_S), elapsed_s + _DELAY_S
    best, best_score = hoped, _score(before, now, hoped, axis, region[axis]) + _CLEARLY_BETTER
    for one in before:
        for other in now:
            step = _middle(other, axis) - _middle(one, axis)
            is_possible = shortest_s <= step / velocity[axis] <= longest_s
            is_cut = any(blob.cut[end] for blob in (one, other) for end in (axis, axis + 2))
            if is_cut or not is_possible:
                continue
            surprise = _SURPRISE * abs(step - hoped) / length
            score = _score(before, now, step, axis, region[axis]) - surprise
            if score > best_score:
                best, best_score = step, score
    return best / velocity[axis]


def _score(
    before: Sequence[Blob], now: Sequence[Blob], step: float, axis: int, extent: float
) -> float:
    """Return how much of two frames a step explains."""
    score = 0.0
    explained = set()
    for one in before:
        start, end = _edges(one, axis)
        tolerance = _TOLERANCE_SHARE * (end - start)
        found = [
            number
            for number, other in enumerate(now)
            if number not in explained
            and _lies_at(other, (start + step, end + step), axis, tolerance)
        ]
        if found:
            explained.add(found[0])
            score += 1.0
        elif tolerance < start + step and end + step < extent - tolerance:
            score -= _MISSING
    for number, other in enumerate(now):
        start, end = _edges(other, axis)
        tolerance = _TOLERANCE_SHARE * (end - start)
        was_inside = tolerance < start - step and end - step < extent - tolerance
        if number not in explained and was_inside:
            score -= _MISSING
    return score


def _lies_at(blob: Blob, place: tuple[float, float], axis: int, tolerance: float) -> bool:
    """Say whether a blob's edges that are not cut by the region lie at a place."""
    edges = _edges(blob, axis)
    cut = (blob.cut[axis], blob.cut[axis + 2])
    return all(
        is_cut or abs(edge - wanted) <= tolerance
        for edge, wanted, is_cut in zip(edges, place, cut, strict=True)
    ) and not all(cut)


def _edges(blob: Blob, axis: int) -> tuple[float, float]:
    return (blob.left, blob.right) if axis == 0 else (blob.top, blob.bottom)


def _length(blob: Blob, axis: int) -> float:
    start, end = _edges(blob, axis)
    return end - start


def _middle(blob: Blob, axis: int) -> float:
    start, end = _edges(blob, axis)
    return (start + end) / 2
