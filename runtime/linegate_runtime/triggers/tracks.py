"""Following blobs from frame to frame, so that each part gets one number."""

import collections
import dataclasses
import functools
from collections.abc import Sequence
from typing import Self

from linegate_runtime.triggers.scene import Blob, union
from linegate_runtime.triggers.steps import likely_time

_FLICKER_S = 0.15
"""A part may be invisible for so long and is still the same part."""

_BLIND_S = 1.5
"""After so long without a frame another part may lie where one was; it is judged anew, for a
part judged twice does less harm than one not judged at all."""

_GATE_SHARE = 0.55
"""A blob may lie off the places where its part can be by this share of its length.
Parts with gaps of a quarter of their length lie 1.25 lengths apart, so less than half
of that keeps neighbours apart."""

_SHORT_WAY_SHARE = 0.7
"""While a part should have come on by less than this share of its length, the next part
cannot lie where it may be, even if it stopped or its frames were delayed: 1.25 - 0.7 is
not less than the share above."""

_GATE_OF_REGION = 0.08
"""The same for parts not yet seen as a whole, by the region's size: the first sliver is
short."""

_PIECE_SLACK = 1.1
"""Pieces that fill at most this multiple of a part's known size may be one part."""

_LEAVING_SHARE = 0.05
"""What is cut by the region's edge leaves once it moved on by this share of its length."""

_NOTICED_FRAMES = 3
"""What was seen in fewer frames and never as a whole was no part."""

_VELOCITY_SPAN_S = 0.5
"""A velocity is taken over so long, because frames come with an uneven delay; taken over
less, it counts accordingly less than that of the parts before."""


@dataclasses.dataclass(eq=False)
class Track:
    """One physical part while it is in view; velocities in pixels a second.

    Attributes:
        number: given when the part is wholly in view for the first time.
        blob: where it was seen last.
        size: largest width and height seen while wholly in view; None before.
        whole: where it was wholly in view last; None before.
        seen_at: time of ``blob`` in seconds.
        guess: velocity of the parts before, horizontal and vertical.
        velocity: its own, as far as known.
        way: times and how far the part had come then, over the last moments.
        frames: in how many frames it was seen.
        is_over: it was wholly in view and now is leaving or gone.
    """

    blob: Blob
    seen_at: float
    guess: tuple[float, float]
    velocity: tuple[float, float]
    way: collections.deque[tuple[float, float, float]]
    number: int | None = None
    size: tuple[float, float] | None = None
    whole: Blob | None = None
    frames: int = 1
    is_over: bool = False

    @classmethod
    def begin(cls, blob: Blob, time_s: float, guess: tuple[float, float]) -> Self:
        """Return the track of a part that is seen for the first time."""
        way = collections.deque([(time_s, 0.0, 0.0)])
        return cls(blob=blob, seen_at=time_s, guess=guess, velocity=guess, way=way)

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

    def follow(self, blob: Blob, time_s: float) -> None:
        """Note where the part is now, and how fast it came there."""
        _, x, y = self.way[-1]
        self.way.append((time_s, x + _shift(self.blob, blob, 0), y + _shift(self.blob, blob, 1)))
        while self.way[1][0] < time_s - _VELOCITY_SPAN_S:
            self.way.popleft()
        self.velocity = self._velocity()
        self.blob = blob
        self.seen_at = time_s
        self.frames += 1

    def _velocity(self) -> tuple[float, float]:
        (since, *start), (until, *end) = self.way[0], self.way[-1]
        span = until - since
        if span <= 0:
            return self.guess
        weight = min(1.0, span / _VELOCITY_SPAN_S)
        x, y = (
            (1 - weight) * guess + weight * (b - a) / span
            for guess, a, b in zip(self.guess, start, end, strict=True)
        )
        return (x, y)


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
        self._last_s = 0.0
        self._count = 0

    def update(self, blobs: Sequence[Blob], time_s: float) -> Update:
        """Take the blobs of the next frame; ``time_s`` rises from call to call."""
        lost = self._lose_sight() if time_s - self._last_s > _BLIND_S else []
        shown_s = self._shown_at(blobs, time_s)
        blobs = self._join_pieces(list(blobs), shown_s)
        pairs, free = self._match(blobs, shown_s)
        for track, blob in pairs:
            track.follow(blob, time_s)
            self._velocity = track.velocity
        seen = [track for track, _ in pairs]
        self._last_s = time_s
        gone = [track for track in self._tracks if self._is_gone(track, seen, shown_s, time_s)]
        over = [track for track in self._tracks if track in gone or _is_leaving(track)]
        over = [track for track in over if track.number is not None and not track.is_over] + lost
        for track in over:
            track.is_over = True
        self._tracks = [track for track in self._tracks if track not in gone]
        new = [Track.begin(blob, time_s, self._velocity) for blob in free]
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

    def _lose_sight(self) -> list[Track]:
        """Forget all parts in view and return the numbered ones: no frame came for too long."""
        lost = [track for track in self._tracks if track.number is not None and not track.is_over]
        self._tracks = []
        return lost

    def _shown_at(self, blobs: Sequence[Blob], time_s: float) -> float:
        """Return when the parts were where the frame shows them, by how far they have come."""
        before = [track.blob for track in self._tracks if track.seen_at == self._last_s]
        elapsed_s = time_s - self._last_s
        return self._last_s + likely_time(before, blobs, self._velocity, elapsed_s, self._region)

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
        """Return pairs, each track and blob once, and the blobs left over.

        Tracks seen in the last frame choose first, then those that were missed; the
        closest blob each.
        """
        candidates = sorted(
            (track.seen_at < self._last_s, error, t, b)
            for t, track in enumerate(self._tracks)
            for b, blob in enumerate(blobs)
            if (error := self._error(track, blob, time_s)) is not None
        )
        pairs: dict[int, int] = {}
        for _, _, t, b in candidates:
            if t not in pairs and b not in pairs.values():
                pairs[t] = b
        free = [blob for b, blob in enumerate(blobs) if b not in pairs.values()]
        return [(self._tracks[t], blobs[b]) for t, b in pairs.items()], free

    def _error(self, track: Track, blob: Blob, time_s: float) -> float | None:
        """Return by how much a blob misses where a part can be; None if it is too much."""
        errors = []
        for axis in (0, 1):
            if track.size is None:
                length = max(_length(track.blob, axis), _length(blob, axis))
                gate = max(_GATE_SHARE * length, _GATE_OF_REGION * self._region[axis])
            else:
                length = track.size[axis]
                gate = _GATE_SHARE * length
            expected = track.velocity[axis] * (time_s - track.seen_at)
            shift = _shift(track.blob, blob, axis)
            miss = abs(shift - expected)
            error = miss
            if abs(expected) < _SHORT_WAY_SHARE * length:
                # It may have slowed down or stopped, or its frame was delayed; it cannot
                # be the next part.
                error = max(0.0, min(0.0, expected) - shift, shift - max(0.0, expected))
            if error > gate:
                return None
            # Of places that are all possible the expected one is the best.
            errors.append((error + 0.01 * miss) / gate)
        return max(errors)

    def _is_gone(self, track: Track, seen: Sequence[Track], shown_s: float, time_s: float) -> bool:
        if track in seen:
            return False
        place = track.predict(shown_s)
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


def _centre_lies_in(blob: Blob, place: Blob) -> bool:
    x, y = (blob.left + blob.right) / 2, (blob.top + blob.bottom) / 2
    return place.left <= x <= place.right and place.top <= y <= place.bottom


def _fits(blob: Blob, size: tuple[float, float]) -> bool:
    return _length(blob, 0) <= size[0] * _PIECE_SLACK and _length(blob, 1) <= size[1] * _PIECE_SLACK
