"""Are the pictures of a colour camera or of a grey one, as those of the training were?

A model that learned from a colour camera sees something else when the camera is a grey
one, or turns grey at night; its answers still look like answers. Only what is clear is
complained about: no colour at all where all pictures had some, or much where none had any.
"""

from collections.abc import Sequence

from linegate_bundle.errors import ConfigError
from linegate_bundle.images import coloured_share
from linegate_bundle.manifest import Manifest
from linegate_bundle.preprocess import UInt8Array

_SURE = 0.99
"""Where at least such a share of the training's pictures is alike, others do not fit."""

_NONE, _ANY = 0.0005, 3
"""A picture is grey if fewer than this share of its pixels differ by so many levels."""

_MUCH, _PLAIN = 0.05, 12
"""A picture is coloured if more than this share of its pixels differ by so many levels; less
comes from light and white balance."""

_PERIOD_NS = 1_000_000_000
"""Once it is known what the pictures show, one is looked at so often."""

_PATIENCE = 10
"""So many pictures in a row must be of the other kind."""


class ColourCheck:
    """Looks now and then at what the model is shown.

    Attributes:
        shows: whether the newest pictures show colour; None where that is not clear.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.shows: bool | None = None
        self._expected = expects_colour(manifest)
        self._others = 0
        self._due_ns: int | None = None

    def look(self, crops: Sequence[UInt8Array], now_ns: int) -> None:
        """Look at pictures, BGR uint8, if it is time.

        Raises:
            ConfigError: too many in a row are of the other kind.
        """
        if not crops or (self._due_ns is not None and now_ns < self._due_ns):
            return
        seen = clear_colour(crops[0])
        if None in (seen, self._expected) or seen is self._expected:
            self.shows, self._others = seen, 0
            self._due_ns = now_ns + _PERIOD_NS
            return
        self._others += 1
        self._due_ns = None
        if self._others >= _PATIENCE:
            raise ConfigError(mismatch(not seen))


def clear_colour(picture: UInt8Array) -> bool | None:
    """Return whether a BGR uint8 picture is coloured (True) or grey (False); None if neither."""
    if coloured_share(picture, _ANY) < _NONE:
        return False
    return True if coloured_share(picture, _PLAIN) > _MUCH else None


def expects_colour(manifest: Manifest) -> bool | None:
    """Return whether the pictures of the training show colour; None if both do, or it is unknown.

    A model that sees grey whatever it is shown does with both.
    """
    share = manifest.provenance.coloured
    if share is None or 1 - _SURE < share < _SURE:
        return None
    return share >= _SURE


def mismatch(expected: bool, source: str = "the camera gives") -> str:  # noqa: FBT001 - a fact
    """Return the complaint about pictures that are not as expected."""
    wanted, got = ("colour", "grey ones") if expected else ("grey", "coloured ones")
    return (
        f"expected pictures in {wanted} as those that the model was trained on, {source} {got}; "
        "take them so, or train on such pictures"
    )
