"""From the frames of a part to its one decision."""

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from linegate_bundle.decide import Decision, decide_part
from linegate_bundle.manifest import Verdict
from linegate_runtime.model import ClassMap, Seen
from linegate_runtime.policy import LinePolicy
from linegate_runtime.reason import Reason

if TYPE_CHECKING:
    from linegate_bundle.preprocess import UInt8Array

_MOST_DECIDED = 1000
"""So many decided parts are kept in mind; no line has so many in view."""


class PartDecision(msgspec.Struct, frozen=True):
    """The decision on one part.

    Attributes:
        part: its number.
        policy: what it was judged by.
        verdict: what happens to it.
        reason: why.
        begun_ns: ``time.monotonic_ns()`` of its first frame or of its trigger.
        decision: label and probabilities, voted over the frames; None without any frame.
            Where the reason is ``late``, its own verdict does not count.
        frames_voted: how many frames had a vote.
        frame_number: number of the newest of them; None without any.
        captured_ns: its ``time.monotonic_ns()``; None without any.
        waited_ns: from then until the line looked at it.
        model_ns: how long preprocessing and engine took for it.
        class_map: of the same frame, see :class:`~linegate_runtime.model.Seen`.
        picture: what the model saw of it, if pictures are wanted; valid until the next frame.
    """

    part: int
    policy: LinePolicy
    verdict: Verdict
    reason: Reason
    begun_ns: int
    decision: Decision | None = None
    frames_voted: int = 0
    frame_number: int | None = None
    captured_ns: int | None = None
    waited_ns: int = 0
    model_ns: int = 0
    class_map: ClassMap | None = None
    picture: "UInt8Array | None" = None


class Look(msgspec.Struct, frozen=True):
    """One look at a part: a frame of it, and how long that took.

    Attributes:
        frame_number: of the frame.
        captured_ns: its ``time.monotonic_ns()``.
        waited_ns, model_ns: see :class:`PartDecision`.
        picture: what the model sees; the frame's own pixels.
    """

    frame_number: int
    captured_ns: int
    waited_ns: int = 0
    model_ns: int = 0
    picture: "UInt8Array | None" = None


@dataclasses.dataclass
class _Part:
    policy: LinePolicy
    begun_ns: int
    votes: list[tuple[float, ...]] = dataclasses.field(default_factory=list)
    look: Look | None = None
    class_map: ClassMap | None = None

    @property
    def deadline_ns(self) -> int:
        return self.begun_ns + self.policy.deadline_ns


class Parts:
    """The parts in view, from their begin until they end; times are ``time.monotonic_ns()``.

    A part is decided as soon as it has the frames that the policy asks for, or when it ends
    with fewer, or when its deadline passes; and only once, by the policy that it began with.

    Args:
        policy: of the line.
    """

    def __init__(self, policy: LinePolicy) -> None:
        self._policy = policy
        self._undecided: dict[int, _Part] = {}
        self._decided: set[int] = set()
        self._forgotten = 0

    def use(self, policy: LinePolicy) -> None:
        """Judge the parts that begin from now on by another policy."""
        self._policy = policy

    def begin(self, part: int, begun_ns: int) -> None:
        """Note that a part is there, before any frame shows it; the first call counts."""
        if part > self._forgotten and part not in self._undecided and part not in self._decided:
            self._undecided[part] = _Part(self._policy, begun_ns)

    def policy_of(self, part: int) -> LinePolicy | None:
        """Return what a part that needs more frames is judged by; None if it needs none."""
        known = self._undecided.get(part)
        return None if known is None else known.policy

    def awaits(self, policy: LinePolicy) -> bool:
        """Say whether a part is still to be decided by this policy; equal ones differ."""
        return any(known.policy is policy for known in self._undecided.values())

    def add(self, part: int, seen: Seen, look: Look, now_ns: int) -> PartDecision | None:
        """Count what a frame shows; return the decision if it is due."""
        self.begin(part, look.captured_ns)
        known = self._undecided.get(part)
        if known is None:
            return None
        if now_ns > known.deadline_ns:
            return self._default(part, known, Reason.LATE)
        known.votes.append(seen.probabilities)
        known.class_map = seen.class_map
        known.look = look
        if len(known.votes) >= known.policy.decision.vote.frames:
            return self._decide(part, known)
        if look.picture is not None:  # the frame's pixels do not live as long as the part
            known.look = msgspec.structs.replace(look, picture=look.picture.copy())
        return None

    def end(self, part: int, now_ns: int) -> PartDecision | None:
        """Forget a part that has gone; return its decision if there is none yet."""
        decided = None
        known = self._undecided.get(part)
        if known is not None:
            decided = self._decide_last(part, known, now_ns)
        self._decided.discard(part)
        return decided

    def end_all(self, now_ns: int) -> list[PartDecision]:
        """End all parts, because no more frames will come."""
        decisions = [self.end(part, now_ns) for part in sorted({*self._undecided, *self._decided})]
        return [decision for decision in decisions if decision is not None]

    def late(self, now_ns: int) -> list[PartDecision]:
        """Return decisions on the parts whose deadline has passed; they may still be in view."""
        self._forget()
        return [
            self._default(part, known, Reason.LATE)
            for part, known in list(self._undecided.items())
            if now_ns > known.deadline_ns
        ]

    @property
    def deadline_ns(self) -> int | None:
        """When the next part must have its verdict; None without such a part."""
        if not self._undecided:
            return None
        return min(known.deadline_ns for known in self._undecided.values())

    def _forget(self) -> None:
        """Forget the oldest parts that are decided, if a trigger without frames never ends them."""
        while len(self._decided) > _MOST_DECIDED:
            self._forgotten = min(self._decided)
            self._decided.remove(self._forgotten)

    def _decide_last(self, part: int, known: _Part, now_ns: int) -> PartDecision:
        if now_ns > known.deadline_ns:
            return self._default(part, known, Reason.LATE)
        if not known.votes:
            return self._default(part, known, Reason.UNSEEN)
        return self._decide(part, known)

    def _decide(self, part: int, known: _Part) -> PartDecision:
        policy = known.policy
        decision = decide_part(known.votes, policy.labels, policy.decision)
        is_whole = len(known.votes) >= policy.decision.vote.frames
        reason = Reason.VOTE if is_whole else Reason.FEW
        return self._close(part, known, decision.verdict, reason, decision)

    def _default(self, part: int, known: _Part, reason: Reason) -> PartDecision:
        policy, decision = known.policy, None
        if known.votes:
            decision = decide_part(known.votes, policy.labels, policy.decision)
        return self._close(part, known, policy.default, reason, decision)

    def _close(
        self, part: int, known: _Part, verdict: Verdict, reason: Reason, decision: Decision | None
    ) -> PartDecision:
        del self._undecided[part]
        self._decided.add(part)
        look = known.look
        return PartDecision(
            part=part,
            policy=known.policy,
            verdict=verdict,
            reason=reason,
            begun_ns=known.begun_ns,
            decision=decision,
            frames_voted=len(known.votes),
            frame_number=None if look is None else look.frame_number,
            captured_ns=None if look is None else look.captured_ns,
            waited_ns=0 if look is None else look.waited_ns,
            model_ns=0 if look is None else look.model_ns,
            class_map=known.class_map,
            picture=None if look is None else look.picture,
        )
