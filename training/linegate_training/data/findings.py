"""What a data check says: the types of its report, which ``--json`` prints."""

import enum

from linegate_bundle.manifest import Schema
from linegate_bundle.run_folder import Part

REPORT_SCHEMA_VERSION = 1


class Severity(enum.StrEnum):
    """How bad a finding is: ``serious`` ones spoil training or test, see ``--strict``."""

    SERIOUS = "serious"
    NOTABLE = "notable"


class Kind(enum.StrEnum):
    """What was found."""

    CORRUPT = "corrupt"
    CONFLICT = "conflict"
    LEAK = "leak"
    UNUSED_BITS = "unused_bits"
    IDENTICAL = "identical"
    NEAR_DUPLICATES = "near_duplicates"
    BURSTS = "bursts"
    FEW_IMAGES = "few_images"
    IMBALANCE = "imbalance"
    SIZES = "sizes"
    DARK = "dark"
    BRIGHT = "bright"
    BLURRED = "blurred"


SERIOUS = frozenset({Kind.CORRUPT, Kind.CONFLICT, Kind.LEAK})
"""Kinds that are :attr:`Severity.SERIOUS`."""


class Finding(Schema, frozen=True):
    """One thing to know about the photographs, in plain words."""

    kind: Kind
    severity: Severity
    count: int
    message: str


class ClassFigures(Schema, frozen=True):
    """A class: images that can be decoded, and their middle brightness and sharpness.

    Attributes:
        label: its name.
        images: how many.
        share: of all images.
        brightness: median, 0..255.
        sharpness: median.
        examples: paths of some of the images, spread over all.
    """

    label: str
    images: int
    share: float
    brightness: float
    sharpness: float
    examples: tuple[str, ...]


class Tally(Schema, frozen=True):
    """How many images have a property, such as a size or a format."""

    name: str
    images: int


class CorruptFile(Schema, frozen=True):
    """An image that cannot be decoded, and why."""

    path: str
    reason: str


class Place(Schema, frozen=True):
    """An image with its label, and its part where the split is known."""

    path: str
    label: str
    part: Part | None = None


class AlikePair(Schema, frozen=True):
    """Two images that show one picture.

    Attributes:
        first: one of them.
        second: the other.
        distance: from 0, identical files, to 1, nothing in common.
    """

    first: Place
    second: Place
    distance: float


class Outlier(Schema, frozen=True):
    """An image that differs from others of its class.

    Attributes:
        path: of the image.
        label: its class.
        kind: in what it differs.
        value: brightness (0..255) or sharpness (variance of the Laplacian).
        typical: the median of its class.
        score: modified z-score.
    """

    path: str
    label: str
    kind: Kind
    value: float
    typical: float
    score: float


class DataReport(Schema, frozen=True):
    """All that a data check found.

    Attributes:
        schema_version: of this type.
        source: what was checked.
        root: folder that paths are relative to.
        images: number of image files.
        contents: number of different ones that can be decoded.
        classes: in the order of their names.
        sizes: width x height in pixels, most frequent first.
        formats: depth and colour, most frequent first.
        parts: images in each part, where the split is known.
        findings: in plain words, the worst first; empty if nothing was found.
        corrupt: images that cannot be decoded.
        identical: identical files, those of one content together.
        near_duplicates: closest first.
        bursts: images that follow each other and show one part, those of one together.
        conflicts: pairs that show one picture and have different labels.
        leaks: pairs that show one picture and are in different parts of the split.
        outliers: farthest first.
    """

    schema_version: int
    source: str
    root: str
    images: int
    contents: int
    classes: tuple[ClassFigures, ...]
    sizes: tuple[Tally, ...]
    formats: tuple[Tally, ...]
    parts: tuple[Tally, ...]
    findings: tuple[Finding, ...]
    corrupt: tuple[CorruptFile, ...]
    identical: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[AlikePair, ...]
    bursts: tuple[tuple[str, ...], ...]
    conflicts: tuple[AlikePair, ...]
    leaks: tuple[AlikePair, ...]
    outliers: tuple[Outlier, ...]

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings that spoil training or test."""
        return tuple(f for f in self.findings if f.severity is Severity.SERIOUS)
