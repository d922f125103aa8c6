"""A part is there when something lies on the scene that the empty scene does not show."""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import ConfigError, DataError
from linegate_bundle.images import read_image
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.geometry import Box, Size
from linegate_runtime.triggers.base import (
    Observation,
    Sighting,
    Trigger,
    TriggerOptions,
    check_region,
)
from linegate_runtime.triggers.scene import Blob, EmptyScene, merge
from linegate_runtime.triggers.tracks import Tracker

_LEARNING_FRAMES = 15
"""So many frames at the start are the empty scene, if no picture of it is given."""

_SIZE_SLACK = 1.1
"""Pieces that fill at most this multiple of the configured part size are one part."""


class PresenceOptions(TriggerOptions, frozen=True, kw_only=True):
    """Options of the presence trigger.

    Attributes:
        empty: picture of the scene without parts, of the frames' size; None learns it
            from the first frames, which must then show no part.
        part_size: width and height of the crop in pixels, centred on the part; None
            crops to the part's own edges. Give it where all parts are alike: pieces
            of a part with dark areas are then known to belong together.
        threshold: difference in grey levels, of any colour channel, that marks a part.
        closing_px: gaps in a part up to about this wide are filled; gaps between parts
            must be wider.
    """

    empty: Path | None = None
    part_size: Size | None = None
    threshold: Annotated[int, msgspec.Meta(ge=2, le=254)] = 25
    closing_px: Annotated[int, msgspec.Meta(ge=0, le=512)] = 12


class PresenceTrigger(Trigger[PresenceOptions]):
    """Finds parts by their difference to the empty scene and follows them.

    A part counts while it lies wholly inside the region of interest, without
    touching its edges; it ends when it begins to leave, has gone, or another part has
    come in its place. Parts may move in any direction, by up to half their length from frame to
    frame, with gaps of at least a quarter of their length, and the light may change
    slowly.
    """

    Options: ClassVar[type[TriggerOptions]] = PresenceOptions

    def __init__(self, options: PresenceOptions, region: Box | None = None) -> None:
        self._options = options
        self._region = region
        self._shape: tuple[int, ...] | None = None
        self._scene: EmptyScene | None = None
        self._tracker: Tracker | None = None
        self._learned: list[npt.NDArray[np.uint8]] = []
        self._empty = None if options.empty is None else _read_empty(options.empty)

    def teach(self, empty: UInt8Array) -> None:
        """Take a picture of the empty scene, BGR uint8 of the frames' shape, as if configured."""
        self._empty = empty

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`."""
        region = check_region(self._region, pixels)
        view = pixels[region.y : region.bottom, region.x : region.right]
        if self._shape != pixels.shape:
            self._begin(pixels, region)
        scene, tracker = self._scene, self._tracker
        if scene is None or tracker is None:
            self._learn(view)
            return Observation(state="learning the empty scene")
        blobs = scene.blobs(view)
        size = self._options.part_size
        if size is not None:
            blobs = merge(blobs, size.width * _SIZE_SLACK, size.height * _SIZE_SLACK)
        update = tracker.update(blobs, taken_ns / 1e9)
        return Observation(
            sightings=tuple(
                self._sighting(track.number, scene.refine(view, track.blob), region)
                for track in update.whole
                if track.number is not None
            ),
            ended=tuple(track.number for track in update.over if track.number is not None),
            unseen=update.unseen,
            noticed=tuple(_box(blob, None, region) for blob in blobs),
            state="a part is wholly in view" if update.whole else "waiting for a part",
        )

    def _begin(self, pixels: UInt8Array, region: Box) -> None:
        if self._shape is not None:
            raise ConfigError(
                f"expected frames of shape {self._shape} as before, got {pixels.shape}"
            )
        empty = self._empty
        if empty is not None and empty.shape != pixels.shape:
            height, width = pixels.shape[:2]
            raise ConfigError(
                f"{self._options.empty}: expected a picture of the camera's size {width}x{height}, "
                f"got {empty.shape[1]}x{empty.shape[0]}; take the picture of the empty scene anew"
            )
        self._shape = pixels.shape
        self._tracker = Tracker(region.width, region.height)
        if empty is not None:
            self._begin_with(empty[region.y : region.bottom, region.x : region.right])

    def _learn(self, view: UInt8Array) -> None:
        self._learned.append(view.copy())
        if len(self._learned) == _LEARNING_FRAMES:
            # The median forgets what passed by in a few of the frames.
            self._begin_with(np.median(np.stack(self._learned), axis=0).astype(np.uint8))
            self._learned.clear()

    def _begin_with(self, empty: UInt8Array) -> None:
        self._scene = EmptyScene(empty, self._options.threshold, self._options.closing_px)

    def _sighting(self, part: int, blob: Blob, region: Box) -> Sighting:
        return Sighting(part=part, box=_box(blob, self._options.part_size, region))


def _box(blob: Blob, size: Size | None, region: Box) -> Box:
    """Return the crop in pixels of the frame, moved into the region if it reaches out."""
    if size is None:
        left, top = round(blob.left), round(blob.top)
        width, height = round(blob.right) - left, round(blob.bottom) - top
    else:
        width, height = min(size.width, region.width), min(size.height, region.height)
        left = round((blob.left + blob.right - width) / 2)
        top = round((blob.top + blob.bottom - height) / 2)
    return Box(
        x=region.x + max(0, min(left, region.width - width)),
        y=region.y + max(0, min(top, region.height - height)),
        width=max(1, width),
        height=max(1, height),
    )


def _read_empty(path: Path) -> UInt8Array:
    try:
        return read_image(path)
    except DataError as error:
        raise ConfigError(
            f"expected a picture of the empty scene: {error}; take one without any part in view"
        ) from error
