"""From the frames of a part to its one decision."""

import dataclasses
from collections.abc import Sequence

import msgspec

from linegate_bundle.decide import Decision, decide_part
from linegate_bundle.manifest import Label, Verdict
from linegate_runtime.model import ClassMap, Seen
from linegate_runtime.policy import LinePolicy
from linegate_runtime.reason import Reason

_MOST_OPEN = 1000
"""So many parts are kept in mind; no line has so many in view."""


class PartDecision(msgspec.Struct, frozen=True):
    """The decision on one part.

    Attributes:
        part: its number.
        verdict: what happens to it.
        reason: why.
        begun_ns: ``time.monotonic_ns()`` of its first frame or of its trigger.
        decision: label and probabilities, voted over the frames; None without any frame.
            Where the reason is ``late``, its own verdict does not count.
        frames_voted: how many frames had a vote.
        frame_number: number of the newest of them; None without any.
        captured_ns: its ``time.monotonic_ns()``; None without any.
        class_map: of the same frame, see :class:`~linegate_runtime.model.Seen`.
    """

    part: int
    verdict: Verdict
    reason: Reason
    begun_ns: int
    decision: Decision | None = None
    frames_voted: int = 0
    frame_number: int | None = None
    captured_ns: int | None = None
    class_map: ClassMap | None = None


@dataclasses.dataclass
class _OpenPart:
    begun_ns: int
    votes: list[tuple[float, ...]] = dataclasses.field(default_factory=list)
    frame_number: int | None = None
    captured_ns: int | None = None
    class_map: ClassMap | None = None
    is_decided: bool = False


class Parts:
    """The parts in view, from their begin until they end; times are ``time.monotonic_ns()``.

    A part is decided as soon as it has the frames that the policy asks for, or when it ends
    with fewer, or when its deadline passes; and only once.

    Args:
        labels: of the bundle.
        policy: of the line.
    """

    def __init__(self, labels: Sequence[Label], policy: LinePolicy) -> None:
        self._labels = labels
        self._policy = policy
        self._open: dict[int, _OpenPart] = {}
        self._forgotten = 0

    def use(self, labels: Sequence[Label], policy: LinePolicy) -> None:
        """Judge by another policy from now on; what is decided already stays so."""
        self._labels = labels
        self._policy = policy

    def begin(self, part: int, begun_ns: int) -> None:
        """Note that a part is there, before any frame shows it; the first call counts."""
        if part not in self._open and part > self._forgotten:
            self._open[part] = _OpenPart(begun_ns)

    def wants(self, part: int) -> bool:
        """Say whether a part still needs frames."""
        known = self._open.get(part)
        return part > self._forgotten if known is None else not known.is_decided

    def add(
        self, part: int, seen: Seen, frame_number: int, captured_ns: int, now_ns: int
    ) -> PartDecision | None:
        """Count what a frame shows; return the decision if it is due."""
        self.begin(part, captured_ns)
        known = self._open.get(part)
        if known is None or known.is_decided:
            return None
        if self._is_late(known, now_ns):
            return self._default(part, known, Reason.LATE)
        known.votes.append(seen.probabilities)
        known.class_map = seen.class_map
        known.frame_number = frame_number
        known.captured_ns = captured_ns
        if len(known.votes) < self._policy.decision.vote.frames:
            return None
        return self._decide(part, known)

    def end(self, part: int, now_ns: int) -> PartDecision | None:
        """Forget a part that has gone; return its decision if there is none yet."""
        known = self._open.pop(part, None)
        if known is None or known.is_decided:
            return None
        if self._is_late(known, now_ns):
            return self._default(part, known, Reason.LATE)
        if not known.votes:
            return self._default(part, known, Reason.UNSEEN)
        return self._decide(part, known)

    def end_all(self, now_ns: int) -> list[PartDecision]:
        """End all parts, because no more frames will come."""
        decisions = [self.end(part, now_ns) for part in sorted(self._open)]
        return [decision for decision in decisions if decision is not None]

    def late(self, now_ns: int) -> list[PartDecision]:
        """Return decisions on the parts whose deadline has passed; they may still be in view."""
        self._forget()
        return [
            self._default(part, known, Reason.LATE)
            for part, known in sorted(self._open.items())
            if not known.is_decided and self._is_late(known, now_ns)
        ]

    @property
    def deadline_ns(self) -> int | None:
        """When the next part must have its verdict; None without such a part."""
        begun = [known.begun_ns for known in self._open.values() if not known.is_decided]
        return min(begun) + self._policy.deadline_ns if begun else None

    def _forget(self) -> None:
        """Forget the oldest parts that are decided, if a trigger without frames never ends them."""
        while len(self._open) > _MOST_OPEN:
            oldest = min(self._open)
            if not self._open[oldest].is_decided:
                return
            del self._open[oldest]
            self._forgotten = oldest

    def _is_late(self, known: _OpenPart, now_ns: int) -> bool:
        return now_ns - known.begun_ns > self._policy.deadline_ns

    def _decide(self, part: int, known: _OpenPart) -> PartDecision:
        policy = self._policy.decision
        decision = decide_part(known.votes, self._labels, policy)
        reason = Reason.VOTE if len(known.votes) >= policy.vote.frames else Reason.FEW
        return _decided(part, known, decision.verdict, reason, decision)

    def _default(self, part: int, known: _OpenPart, reason: Reason) -> PartDecision:
        decision = None
        if known.votes:
            decision = decide_part(known.votes, self._labels, self._policy.decision)
        return _decided(part, known, self._policy.default, reason, decision)


def _decided(
    part: int, known: _OpenPart, verdict: Verdict, reason: Reason, decision: Decision | None
) -> PartDecision:
    known.is_decided = True
    return PartDecision(
        part=part,
        verdict=verdict,
        reason=reason,
        begun_ns=known.begun_ns,
        decision=decision,
        frames_voted=len(known.votes),
        frame_number=known.frame_number,
        captured_ns=known.captured_ns,
        class_map=known.class_map,
    )
