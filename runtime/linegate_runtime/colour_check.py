"""Are the pictures of a colour camera or of a grey one, as those of the training were?

A model that learned from coloured pictures sees something else when the camera is a grey
one, or turns grey at night; its answers still look like answers. Only what is clear is
complained about: grey throughout where all pictures were coloured, or the reverse.
"""

import logging

from linegate_bundle.errors import ConfigError
from linegate_bundle.images import clear_colour
from linegate_bundle.manifest import Manifest
from linegate_bundle.preprocess import Preprocessor, UInt8Array

_LOG = logging.getLogger(__name__)

_PERIOD_NS = 1_000_000_000
"""While the pictures fit, one is looked at so often; while they do not, each."""

_PATIENCE_NS = 3_000_000_000
"""A camera none of whose first pictures fits for so long is a wrong one."""

_PATIENCE = 10
"""So many of them at least."""

_REPEAT_NS = 10_000_000_000
"""The same complaint is logged again after so long only."""


class ColourCheck:
    """Looks now and then at what the model is shown; pictures that do not fit are no votes.

    Args:
        manifest: of the bundle.

    Attributes:
        shows: what the camera clearly showed last: colour (True) or grey; None before that.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.shows: bool | None = None
        self._has_fitted = False
        self._others = 0
        self._others_since_ns = 0
        self._due_ns = 0
        self._told_ns: int | None = None
        self._hold_against(manifest)

    def exchange(self, manifest: Manifest) -> None:
        """Hold what comes against another bundle; the line that runs is not ended for it."""
        self._hold_against(manifest)
        self._has_fitted, self._others = True, 0

    def fits(self, crop: UInt8Array, now_ns: int) -> bool:
        """Say whether a picture, BGR uint8, may be judged; looks at it if it is time.

        Raises:
            ConfigError: none has fitted from the start.
        """
        if self._expected is None or now_ns < self._due_ns:
            return True
        seen = clear_colour(self._preprocess(crop))
        if seen is not None:
            self.shows = seen
        if seen is None or seen is self._expected:
            self._has_fitted, self._others = True, 0
            self._due_ns = now_ns + _PERIOD_NS
            return True
        self._complain(now_ns)
        return False

    def objection(self, manifest: Manifest) -> str | None:
        """Return why the camera's pictures are not for a bundle; None if they may be."""
        expected = manifest.provenance.coloured
        if self.shows is None or expected is None or self.shows is expected:
            return None
        return mismatch(expected)

    def _hold_against(self, manifest: Manifest) -> None:
        self._expected = manifest.provenance.coloured
        self._preprocess = Preprocessor(manifest.preprocess)
        self._due_ns = 0

    def _complain(self, now_ns: int) -> None:
        if self._others == 0:
            self._others_since_ns = now_ns
        self._others += 1
        text = mismatch(not self.shows)
        is_long = now_ns - self._others_since_ns >= _PATIENCE_NS
        if is_long and self._others >= _PATIENCE and not self._has_fitted:
            raise ConfigError(text)
        if self._told_ns is None or now_ns - self._told_ns >= _REPEAT_NS:
            self._told_ns = now_ns
            _LOG.error("%s; until then no picture counts, and parts get the default verdict", text)


def mismatch(expected: bool, source: str = "the camera gives") -> str:  # noqa: FBT001 - a fact
    """Return the complaint about pictures that are not as expected."""
    wanted, got = ("colour", "grey ones") if expected else ("grey", "coloured ones")
    return (
        f"expected pictures in {wanted} as those that the model was trained on, {source} {got}; "
        "take them so, or train on such pictures"
    )
