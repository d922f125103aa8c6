"""Which augmentations a training uses, and how strong each is."""

import dataclasses

from linegate_bundle.errors import ConfigError

_LIMITS = {
    "shift": 0.5,
    "scale": 0.5,
    "rotation": 45.0,
    "cutout": 0.5,
    "blur": 5.0,
    "brightness": 0.5,
    "contrast": 0.9,
    "noise": 50.0,
    "jpeg": 95.0,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How pictures are varied; each strength is the most that is drawn, 0 switches it off.

    The defaults hide no defect: mirroring and turning only move pixels, and a little
    more or less light leaves everything in sight. What can push a defect out of the
    picture, cover or smear it must be asked for.

    Attributes:
        flips: mirror left to right and top to bottom.
        turns: turn by quarters; None turns where the picture is square.
        shift: share of the side by which the content moves; what leaves is lost.
        scale: share by which the content grows or shrinks; what leaves is lost.
        rotation: degrees; corners leave the picture.
        brightness: share of 255 that is added or taken.
        contrast: share by which differences from the mean grow or shrink.
        blur: standard deviation in pixels of a Gaussian; hairline cracks vanish.
        noise: standard deviation in grey levels.
        cutout: side of a grey square as a share of the picture's shorter side.
        jpeg: so much below 100 may the quality of a JPEG coding be, as a camera's is.

    Raises:
        ConfigError: a strength is out of range.
    """

    flips: bool = True
    turns: bool | None = None
    shift: float = 0.0
    scale: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.1
    contrast: float = 0.1
    blur: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        """Check the strengths."""
        for name, most in _LIMITS.items():
            strength = getattr(self, name)
            if not 0 <= strength <= most:  # also not a number
                raise ConfigError(f"expected {name} from 0 to {most:g}, got {strength}")

    @property
    def strengths(self) -> dict[str, float]:
        """What is drawn, by name and in the order of application, without what is off."""
        given = {name: float(getattr(self, name)) for name in _LIMITS}
        return {name: strength for name, strength in given.items() if strength}

    @property
    def moves_content(self) -> bool:
        """Whether pixels are resampled."""
        return bool(self.shift or self.scale or self.rotation)


def only(**strengths: float) -> Augmentation:
    """Return an augmentation that does nothing but what is given."""
    return Augmentation(**{**dict.fromkeys(_LIMITS, 0.0), **strengths}, flips=False, turns=False)


NOTHING = only()
"""Pictures as they are."""
EXACT = Augmentation(brightness=0.0, contrast=0.0)
"""Only mirrored and turned: every pixel stays what it is."""
