"""Why a part has its verdict; needs neither numpy nor an engine."""

import enum


class Reason(enum.StrEnum):
    """Why a part has its verdict.

    ``vote``: its frames were judged. ``few``: the same, but it was gone before it had as many
    as the policy asks for, or its trigger gives no more. ``late``: the deadline passed before that.
    ``unseen``: it ended without any frame. ``override``: its frames accepted it, but the line was
    in its safe state, in which nothing is accepted, so it was rejected.
    """

    VOTE = "vote"
    FEW = "few"
    LATE = "late"
    UNSEEN = "unseen"
    OVERRIDE = "override"
