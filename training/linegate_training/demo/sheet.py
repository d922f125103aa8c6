"""A contact sheet: every part of the belt in the colour of its verdict."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from linegate_bundle.atomic import write_atomic
from linegate_bundle.images import read_image
from linegate_bundle.manifest import Role, Verdict
from linegate_bundle.preprocess import UInt8Array
from linegate_training.demo.live import Shown

_COLUMNS = 12
_SIDE_PX = 96
_BORDER_PX = 5
_LEGEND_PX = 34
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)
_COLOURS: dict[Verdict | None, tuple[int, int, int]] = {
    Verdict.ACCEPT: (80, 160, 60),
    Verdict.REJECT: (50, 50, 200),
    Verdict.UNSURE: (30, 180, 235),
    None: (160, 160, 160),
}
"""BGR."""


def write_sheet(path: Path, parts: Sequence[Shown], verdicts: Sequence[Verdict | None]) -> None:
    """Write all parts as one PNG; a cross marks a wrong verdict."""
    tiles = [_tile(part, verdict) for part, verdict in zip(parts, verdicts, strict=True)]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    sheet = np.vstack([_legend(rows[0].shape[1]), *rows])
    write_atomic(path, cv2.imencode(".png", sheet)[1].tobytes())


def _tile(part: Shown, verdict: Verdict | None) -> UInt8Array:
    inner = _SIDE_PX - 2 * _BORDER_PX
    picture = cv2.resize(read_image(part.path), (inner, inner), interpolation=cv2.INTER_AREA)
    clear = verdict in {Verdict.ACCEPT, Verdict.REJECT}
    if clear and (verdict is Verdict.ACCEPT) != (part.role is Role.GOOD):
        for start, end in (((0, 0), (inner, inner)), ((0, inner), (inner, 0))):
            cv2.line(picture, start, end, _COLOURS[verdict], 2, cv2.LINE_AA)
    b = _BORDER_PX
    framed = cv2.copyMakeBorder(picture, b, b, b, b, cv2.BORDER_CONSTANT, value=_COLOURS[verdict])
    return framed.view(np.uint8)


def _legend(width: int) -> UInt8Array:
    strip = np.full((_LEGEND_PX, width, 3), _PAPER, np.uint8)
    left = 10
    for verdict, colour in _COLOURS.items():
        text = "missed" if verdict is None else verdict.value
        cv2.rectangle(strip, (left, 10), (left + 16, 26), colour, cv2.FILLED)
        place = (left + 24, 24)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
        left += 110
    text = "crossed: wrong (the cell is of the other kind)"
    cv2.putText(strip, text, (left, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return strip
