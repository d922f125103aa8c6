"""From the frames of a part to its one decision."""

import dataclasses

from linegate_bundle.decide import Decision, Float64Array, decide, vote
from linegate_bundle.manifest import Manifest
from linegate_runtime.model import Seen


@dataclasses.dataclass(frozen=True)
class PartDecision:
    """The decision on one part.

    Attributes:
        part: its number.
        decision: label, probabilities and verdict, voted over the frames.
        frames_voted: how many frames had a vote.
        frame_number: number of the newest of them.
        captured_ns: its ``time.monotonic_ns()``.
        class_map: of the same frame, see :class:`~linegate_runtime.model.Seen`.
    """

    part: int
    decision: Decision
    frames_voted: int
    frame_number: int
    captured_ns: int
    class_map: Float64Array | None = None


@dataclasses.dataclass
class _OpenPart:
    votes: list[Float64Array] = dataclasses.field(default_factory=list)
    frame_number: int = 0
    captured_ns: int = 0
    class_map: Float64Array | None = None
    is_decided: bool = False


class Parts:
    """The parts in view, from their first frame until they end.

    A part is decided as soon as it has the frames that the policy asks for, or when
    it ends with fewer; and only once.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._labels = manifest.labels
        self._policy = manifest.policy
        self._open: dict[int, _OpenPart] = {}

    def wants(self, part: int) -> bool:
        """Say whether a part still needs frames."""
        known = self._open.get(part)
        return known is None or not known.is_decided

    def add(
        self, part: int, seen: Seen, frame_number: int, captured_ns: int
    ) -> PartDecision | None:
        """Count what a frame shows; return the decision if it is due."""
        known = self._open.setdefault(part, _OpenPart())
        if known.is_decided:
            return None
        known.votes.append(seen.probabilities)
        known.class_map = seen.class_map
        known.frame_number = frame_number
        known.captured_ns = captured_ns
        if len(known.votes) < self._policy.vote.frames:
            return None
        return self._decide(part, known)

    def end(self, part: int) -> PartDecision | None:
        """Forget a part that has gone; return its decision if there is none yet."""
        known = self._open.pop(part, None)
        if known is None or known.is_decided:
            return None
        return self._decide(part, known)

    def end_all(self) -> list[PartDecision]:
        """End all parts, because no more frames will come."""
        decisions = [self.end(part) for part in sorted(self._open)]
        return [decision for decision in decisions if decision is not None]

    def _decide(self, part: int, known: _OpenPart) -> PartDecision:
        known.is_decided = True
        decision = decide(vote(known.votes), self._labels, self._policy)
        return PartDecision(
            part=part,
            decision=decision,
            frames_voted=len(known.votes),
            frame_number=known.frame_number,
            captured_ns=known.captured_ns,
            class_map=known.class_map,
        )
