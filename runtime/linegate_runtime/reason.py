"""Why a part has its verdict; needs neither numpy nor an engine."""

import enum


class Reason(enum.StrEnum):
    """Why a part has its verdict.

    ``vote``: its frames were judged. ``late``: the deadline passed before that.
    ``unseen``: it ended without any frame.
    """

    VOTE = "vote"
    LATE = "late"
    UNSEEN = "unseen"
