"""Following blobs from frame to frame, so that each part gets one number."""

import dataclasses
import functools
from collections.abc import Sequence

from linegate_runtime.triggers.scene import Blob, union

_FLICKER_S = 0.15
"""A part may be invisible for so long and is still the same part."""

_GATE_SHARE = 0.5
"""A blob may lie off its predicted place by this share of the part's length. Parts
with gaps of a quarter of their length lie 1.25 lengths apart, so less than half of
that keeps neighbours apart."""

_GATE_OF_REGION = 0.08
"""The same for short blobs, such as the first sliver of a part, by the region's size."""

_PIECE_SLACK = 1.1
"""Pieces that fill at most this multiple of a part's known size may be one part."""

_LEAVING_SHARE = 0.05
"""What is cut by the region's edge leaves once it moved on by this share of its length."""

_NOTICED_FRAMES = 3
"""What was seen in fewer frames and never as a whole was no part."""

_VELOCITY_SHARE = 0.5
"""Weight of the newest displacement in a track's velocity."""


@dataclasses.dataclass
class Track:
    """One physical part while it is in view; velocities in pixels a second.

    Attributes:
        number: given when the part is wholly in view for the first time.
        blob: where it was seen last.
        size: largest width and height seen while wholly in view; None before.
        whole: where it was wholly in view last; None before.
        seen_at: time of ``blob`` in seconds.
        frames: in how many frames it was seen.
        is_over: it was wholly in view and now is leaving or gone.
    """

    blob: Blob
    seen_at: float
    velocity: tuple[float, float]
    number: int | None = None
    size: tuple[float, float] | None = None
    whole: Blob | None = None
    frames: int = 1
    is_over: bool = False

    def predict(self, time_s: float) -> Blob:
        """Return where the part should be."""
        elapsed = time_s - self.seen_at
        x, y = self.velocity[0] * elapsed, self.velocity[1] * elapsed
        blob = self.blob
        return dataclasses.replace(
            blob,
            left=blob.left + x,
            top=blob.top + y,
            right=blob.right + x,
            bottom=blob.bottom + y,
        )


@dataclasses.dataclass(frozen=True)
class Update:
    """What a new frame did to the tracks.

    Attributes:
        whole: tracks whose part is wholly in view, the foremost part first.
        over: tracks of numbered parts that began to leave or are gone, each once.
        unseen: how many parts have gone that never were wholly in view.
    """

    whole: tuple[Track, ...]
    over: tuple[Track, ...]
    unseen: int


class Tracker:
    """Matches blobs to tracks by the places that their velocities predict.

    Args:
        width, height: size of the region of interest in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._region = (float(width), float(height))
        self._tracks: list[Track] = []
        self._velocity = (0.0, 0.0)
        self._count = 0

    def update(self, blobs: Sequence[Blob], time_s: float) -> Update:
        """Take the blobs of the next frame; ``time_s`` rises from call to call."""
        blobs = self._join_pieces(list(blobs), time_s)
        pairs, free = self._match(blobs, time_s)
        seen = [self._follow(track, blob, time_s) for track, blob in pairs]
        gone = [track for track in self._tracks if self._is_gone(track, seen, time_s)]
        over = [track for track in self._tracks if track in gone or _is_leaving(track)]
        over = [track for track in over if track.number is not None and not track.is_over]
        for track in over:
            track.is_over = True
        self._tracks = [track for track in self._tracks if track not in gone]
        new = [Track(blob=blob, seen_at=time_s, velocity=self._velocity) for blob in free]
        self._tracks += new
        seen = sorted([*seen, *new], key=self._foremost_first)
        whole = [track for track in seen if track.blob.is_whole and not track.is_over]
        for track in whole:
            self._number(track)
        return Update(
            whole=tuple(whole),
            over=tuple(sorted(over, key=lambda track: track.number or 0)),
            unseen=sum(_was_missed(track) for track in gone),
        )

    def _join_pieces(self, blobs: list[Blob], time_s: float) -> list[Blob]:
        """Join blobs that lie where a part of known size should be."""
        for track in self._tracks:
            if track.size is None:
                continue
            place = track.predict(time_s)
            pieces = [blob for blob in blobs if _centre_lies_in(blob, place)]
            if len(pieces) > 1:
                joined = functools.reduce(union, pieces)
                if _fits(joined, track.size):
                    blobs = [blob for blob in blobs if blob not in pieces] + [joined]
        return blobs

    def _match(
        self, blobs: list[Blob], time_s: float
    ) -> tuple[list[tuple[Track, Blob]], list[Blob]]:
        """Return pairs, closest first and each track and blob once, and the blobs left over."""
        candidates = []
        for track in self._tracks:
            place = track.predict(time_s)
            for blob in blobs:
                error = self._error(track, place, blob)
                if error is not None:
                    candidates.append((error, id(track), id(blob), track, blob))
        pairs: list[tuple[Track, Blob]] = []
        used: set[int] = set()
        for _, track_id, blob_id, track, blob in sorted(candidates, key=lambda item: item[:3]):
            if track_id not in used and blob_id not in used:
                used |= {track_id, blob_id}
                pairs.append((track, blob))
        return pairs, [blob for blob in blobs if id(blob) not in used]

    def _error(self, track: Track, place: Blob, blob: Blob) -> float | None:
        """Return by how much a blob misses a predicted place; None if it is too much."""
        errors = []
        for axis in (0, 1):
            known = 0.0 if track.size is None else track.size[axis]
            length = max(known, _length(place, axis), _length(blob, axis))
            gate = max(_GATE_SHARE * length, _GATE_OF_REGION * self._region[axis])
            error = abs(_shift(place, blob, axis))
            if error > gate:
                return None
            errors.append(error / gate)
        return max(errors)

    def _follow(self, track: Track, blob: Blob, time_s: float) -> Track:
        elapsed = time_s - track.seen_at
        if elapsed > 0:
            new = (
                _shift(track.blob, blob, 0) / elapsed,
                _shift(track.blob, blob, 1) / elapsed,
            )
            track.velocity = _mix(new, track.velocity)
            self._velocity = _mix(track.velocity, self._velocity)
        track.blob = blob
        track.seen_at = time_s
        track.frames += 1
        return track

    def _is_gone(self, track: Track, seen: Sequence[Track], time_s: float) -> bool:
        if track in seen:
            return False
        place = track.predict(time_s)
        width, height = self._region
        is_outside = (
            place.right <= 0 or place.left >= width or place.bottom <= 0 or place.top >= height
        )
        return is_outside or time_s - track.seen_at > _FLICKER_S

    def _foremost_first(self, track: Track) -> tuple[float, float, float]:
        x, y = track.velocity
        blob = track.blob
        ahead = x * (blob.left + blob.right) + y * (blob.top + blob.bottom)
        return (-ahead, blob.left, blob.top)

    def _number(self, track: Track) -> None:
        blob = track.blob
        if track.number is None:
            self._count += 1
            track.number = self._count
        width, height = track.size or (0.0, 0.0)
        track.size = (max(width, _length(blob, 0)), max(height, _length(blob, 1)))
        track.whole = blob


def _edges(blob: Blob, axis: int) -> tuple[float, float]:
    return (blob.left, blob.right) if axis == 0 else (blob.top, blob.bottom)


def _length(blob: Blob, axis: int) -> float:
    start, stop = _edges(blob, axis)
    return stop - start


def _shift(before: Blob, after: Blob, axis: int) -> float:
    """Return how far a blob moved along an axis, by the edges that are real in both.

    An edge that the region cuts stays where it is while the part moves on.
    """
    first, second = _edges(before, axis), _edges(after, axis)
    shifts = [
        second[end] - first[end]
        for end in (0, 1)
        if not before.cut[axis + 2 * end] and not after.cut[axis + 2 * end]
    ]
    if not shifts:
        # The part fills the region along this axis, or was cut on one side and now is
        # on the other: only the overlap can tell.
        shifts = [(second[0] + second[1] - first[0] - first[1]) / 2]
    return sum(shifts) / len(shifts)


def _is_leaving(track: Track) -> bool:
    """Say whether a part moves out over an edge of the region that already cuts it."""
    if track.whole is None or track.blob.is_whole:
        return False
    for axis in (0, 1):
        moved = _shift(track.whole, track.blob, axis)
        least = _LEAVING_SHARE * _length(track.whole, axis)
        if track.blob.cut[axis] and moved < -least:
            return True
        if track.blob.cut[axis + 2] and moved > least:
            return True
    return False


def _was_missed(track: Track) -> bool:
    return track.number is None and track.frames >= _NOTICED_FRAMES


def _mix(new: tuple[float, float], old: tuple[float, float]) -> tuple[float, float]:
    share = _VELOCITY_SHARE
    return (share * new[0] + (1 - share) * old[0], share * new[1] + (1 - share) * old[1])


def _centre_lies_in(blob: Blob, place: Blob) -> bool:
    x, y = (blob.left + blob.right) / 2, (blob.top + blob.bottom) / 2
    return place.left <= x <= place.right and place.top <= y <= place.bottom


def _fits(blob: Blob, size: tuple[float, float]) -> bool:
    return _length(blob, 0) <= size[0] * _PIECE_SLACK and _length(blob, 1) <= size[1] * _PIECE_SLACK
