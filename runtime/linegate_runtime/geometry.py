"""Rectangles in pixels."""

from typing import Annotated

import msgspec

Offset = Annotated[int, msgspec.Meta(ge=0, le=8192)]
Extent = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle in pixels of a frame; ``x`` and ``y`` are its top left corner."""

    x: Offset
    y: Offset
    width: Extent
    height: Extent

    @property
    def right(self) -> int:
        """First column right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    def __str__(self) -> str:
        """Write the box as the command line takes it: ``x,y,width,height``."""
        return f"{self.x},{self.y},{self.width},{self.height}"


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Width and height in pixels; in a file the list ``[width, height]``."""

    width: Extent
    height: Extent

    def __str__(self) -> str:
        """Write the size as the command line takes it: ``WIDTHxHEIGHT``."""
        return f"{self.width}x{self.height}"
