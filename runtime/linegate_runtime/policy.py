"""The policy that parts are judged by: the bundle's, or one that a line made stricter.

The bundle's thresholds are proven, so a configuration may only move them to the safe
side: fewer parts accepted, more rejected. Whoever wants otherwise must say so on the
command line, and every record tells.
"""

import enum
from typing import Annotated

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import (
    DecisionPolicy,
    Fraction,
    Label,
    Manifest,
    Verdict,
    VoteMethod,
    VotePolicy,
)
from linegate_bundle.manifest_file import check_policy

Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)]
Frames = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class PolicyOrigin(enum.StrEnum):
    """Whose policy judged a part.

    ``bundle``: the bundle's own. ``stricter``: the configuration's, which accepts no part
    that the bundle would not. ``looser``: the configuration's, which may.
    """

    BUNDLE = "bundle"
    STRICTER = "stricter"
    LOOSER = "looser"


class VerdictOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[verdict]``: what a line wants besides the bundle's policy; None keeps the bundle's.

    Attributes:
        accept_at_most: see :class:`~linegate_bundle.manifest.DecisionPolicy`.
        reject_at_least: the same.
        frames: how many frames of a part are combined.
        needed: by ``k_of_n`` so many of them reject the part.
        deadline_s: a part that has no verdict so long after it was first seen, or after its
            trigger, gets ``default``, marked late.
        default: verdict of parts that could not be judged in time.
    """

    accept_at_most: Fraction | None = None
    reject_at_least: Fraction | None = None
    frames: Frames | None = None
    needed: Frames | None = None
    deadline_s: Seconds = 2.0
    default: Verdict = Verdict.REJECT


class LinePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a line judges its parts.

    Attributes:
        labels: of the bundle.
        decision: thresholds and vote.
        origin: whose they are.
        deadline_ns: from a part's begin to the time when it must have its verdict.
        default: verdict of parts that could not be judged in time.
    """

    labels: tuple[Label, ...]
    decision: DecisionPolicy
    origin: PolicyOrigin
    deadline_ns: int
    default: Verdict


def line_policy(
    manifest: Manifest,
    options: VerdictOptions,
    *,
    shown: int | None = None,
    allow_looser: bool = False,
) -> LinePolicy:
    """Put a line's wishes over the bundle's policy.

    Args:
        manifest: of the bundle.
        options: of the line.
        shown: in so many frames its triggers show a part at most; None where they do not limit it.
        allow_looser: take wishes that make the policy looser.

    Raises:
        ConfigError: a wish makes the policy looser and that is not allowed, or the wishes
            contradict each other; all of it at once.
    """
    bundle = manifest.policy
    wished = _wished(bundle, options)
    problems = [f"[verdict] {problem}" for problem in check_policy(wished)]
    looser = [
        *(f"[verdict] {sentence}" for sentence in _looser(bundle, wished, options.default)),
        *_too_few(wished, shown),
    ]
    if looser and not allow_looser:
        problems += looser
        problems.append(
            "a line may be stricter than its bundle; to let it be looser pass --allow-looser, "
            "and every record will say so"
        )
    if problems:
        raise ConfigError("; ".join(problems))
    origin = PolicyOrigin.BUNDLE if wished == bundle else PolicyOrigin.STRICTER
    if looser:
        origin = PolicyOrigin.LOOSER
    return LinePolicy(
        labels=tuple(manifest.labels),
        decision=wished,
        origin=origin,
        deadline_ns=round(options.deadline_s * 1e9),
        default=options.default,
    )


def _wished(bundle: DecisionPolicy, options: VerdictOptions) -> DecisionPolicy:
    needed = bundle.vote.needed if options.needed is None else options.needed
    vote = VotePolicy(
        method=VoteMethod.MEAN_LOG_ODDS if needed is None else VoteMethod.K_OF_N,
        frames=options.frames or bundle.vote.frames,
        needed=needed,
    )
    accept, reject = options.accept_at_most, options.reject_at_least
    return DecisionPolicy(
        accept_at_most=bundle.accept_at_most if accept is None else accept,
        reject_at_least=bundle.reject_at_least if reject is None else reject,
        vote=vote,
    )


def _too_few(wished: DecisionPolicy, shown: int | None) -> list[str]:
    """Return in a sentence that no part can have as many frames as are to be voted over."""
    asked = wished.vote.frames
    if shown is None or shown >= asked:
        return []
    return [
        f"[trigger] frames: expected at least the {asked} that the policy votes over, got {shown}"
    ]


def _looser(bundle: DecisionPolicy, wished: DecisionPolicy, default: Verdict) -> list[str]:
    """Return in sentences where a wish is not surely as strict as the bundle."""
    sentences = []
    for name in ("accept_at_most", "reject_at_least"):
        limit, value = getattr(bundle, name), getattr(wished, name)
        if value > limit:
            sentences.append(f"{name}: expected at most the bundle's {limit:g}, got {value:g}")
    is_mean = bundle.vote.method is VoteMethod.MEAN_LOG_ODDS
    if wished.vote.frames < bundle.vote.frames or (
        is_mean and wished.vote.frames != bundle.vote.frames
    ):
        # The mean of more frames may say accept where that of the first ones says reject.
        least = "" if is_mean else "at least "
        sentences.append(
            f"frames: expected {least}the bundle's {bundle.vote.frames}, got {wished.vote.frames}"
        )
    own, asked = bundle.vote.needed, wished.vote.needed
    if asked is not None and own is None:
        sentences.append(
            f"needed: the bundle judges the mean of the frames, {asked} of {wished.vote.frames} "
            "frames cannot be compared with that"
        )
    elif asked is not None and own is not None and asked > own:
        sentences.append(f"needed: expected at most the bundle's {own}, got {asked}")
    if default is Verdict.ACCEPT:
        sentences.append("default: expected reject or unsure, got accept")
    return sentences
