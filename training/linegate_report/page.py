"""Pages for people: one HTML file that needs no network and no other file.

A page is a template of its package that extends ``page.html.j2`` of this one, which brings
the style, the head and the macro ``gallery``.
"""

import dataclasses

import cv2
import jinja2

from linegate_bundle.images import encode_jpeg
from linegate_bundle.manifest import Colour
from linegate_bundle.preprocess import UInt8Array
from linegate_report.figure import data_uri
from linegate_report.reduce import reduced

_THUMBNAIL_SIDE = 160
_JPEG_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture in a gallery.

    Attributes:
        uri: data URI of the picture.
        title: first line of the caption, bold.
        lines: one line a fact.
        right: whether it is framed as right or as wrong.
    """

    uri: str
    title: str
    lines: tuple[str, ...]
    right: bool


def environment(package: str) -> jinja2.Environment:
    """Return what renders the templates of a package, with the shared ones beside them.

    HTML is escaped, an undefined name is an error, and the filter ``percent`` writes a share.
    """
    result = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package), jinja2.PackageLoader("linegate_report")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return result


def thumbnail(pixels: UInt8Array, colour: Colour, side: int = _THUMBNAIL_SIDE) -> str:
    """Return a picture as a small JPEG data URI.

    Args:
        pixels: uint8 ``(height, width, channels)``.
        colour: what the channels are.
        side: longest side in pixels; smaller pictures stay as they are.
    """
    picture = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if colour is Colour.RGB else pixels
    content = encode_jpeg(reduced(picture.view("uint8"), side), _JPEG_QUALITY)
    return data_uri("image/jpeg", content)
