"""The page and the picture files that ``linegate explain`` leaves."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from linegate_bundle.atomic import write_atomic
from linegate_bundle.errors import ConfigError, OutputError
from linegate_bundle.images import encode_png
from linegate_report.figure import data_uri
from linegate_report.heat import heat_overlay, input_picture, to_jpeg
from linegate_report.page import environment
from linegate_training.explain.explanation import Explanation
from linegate_training.explain.pictures import (
    filter_sheet,
    map_sheet,
    raw_heat,
    strongest_channels,
)
from linegate_training.explain.source import Source

PAGE = "explain.html"
_FILTERS = "filters.png"


@dataclasses.dataclass(frozen=True)
class Explained:
    """A picture with its explanation.

    Attributes:
        path: where the picture came from.
        explanation: what the model saw.
    """

    path: Path
    explanation: Explanation


@dataclasses.dataclass(frozen=True)
class _StageView:
    """A stage on the page."""

    title: str
    note: str
    uri: str


@dataclasses.dataclass(frozen=True)
class _View:
    """A picture on the page."""

    name: str
    path: str
    explanation: Explanation
    probabilities: tuple[tuple[str, float], ...]
    input_uri: str
    overlay_uri: str
    raw_uri: str
    low: float
    high: float
    stages: tuple[_StageView, ...]


def picture_files(source: Source, explained: Sequence[Explained]) -> dict[str, bytes]:
    """Return all pictures as PNG by file name; those of one picture share a number."""
    files: dict[str, bytes] = {}
    if source.filters is not None:
        files[_FILTERS] = encode_png(filter_sheet(source.filters))
    for number, one in enumerate(explained, start=1):
        explanation = one.explanation
        stem = f"{number:02}-{_plain(one.path.stem)}"
        colour = explanation.colour
        files[f"{stem}.input.png"] = encode_png(input_picture(explanation.pixels, colour))
        overlay = heat_overlay(explanation.pixels, colour, explanation.heat.values)
        files[f"{stem}.heat.png"] = encode_png(overlay)
        files[f"{stem}.map.png"] = encode_png(raw_heat(explanation.heat))
        for place, stage in enumerate(explanation.stages, start=1):
            name = f"{stem}.stage{place:02}-{_plain(stage.info.name)}.png"
            files[name] = encode_png(map_sheet(stage))
    return files


def render(source: Source, explained: Sequence[Explained], files: Mapping[str, bytes]) -> bytes:
    """Return the page as UTF-8 HTML that needs no other file; the same in, the same out.

    Args:
        source: the model.
        explained: the pictures.
        files: what :func:`picture_files` gave for them.
    """
    filters = source.filters
    text = (
        environment("linegate_training")
        .get_template("explain.html.j2")
        .render(
            facts=source.facts,
            filters=filters,
            filters_uri=None if filters is None else _uri(files[_FILTERS]),
            views=[_view(number, one, source, files) for number, one in enumerate(explained, 1)],
        )
    )
    return text.encode()


@contextlib.contextmanager
def new_folder(folder: Path, *, replace: bool) -> Iterator[None]:
    """Make the folder, so that a wrong one is told before the work; it goes if that fails.

    Raises:
        ConfigError: a page is there already and must not be replaced, or the folder holds
            other things.
        OutputError: the folder cannot be made.
    """
    if (folder / PAGE).exists() and not replace:
        raise ConfigError(
            f"{folder / PAGE}: exists already; choose another --out, or replace it with --force"
        )
    if not (folder / PAGE).exists() and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder}: expected a new folder or one with {PAGE}, but it holds other things; "
            "choose another --out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # there is something in it
            folder.rmdir()
        raise


def write_explanations(folder: Path, source: Source, explained: Sequence[Explained]) -> Path:
    """Write the pictures, then the page, and return the page's path.

    Raises:
        OutputError: the disk is full or the folder not writable.
    """
    files = picture_files(source, explained)
    page = render(source, explained, files)
    try:
        for name, content in files.items():
            write_atomic(folder / name, content)
        write_atomic(folder / PAGE, page)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the pictures: {error.strerror}") from error
    return folder / PAGE


def _view(number: int, one: Explained, source: Source, files: Mapping[str, bytes]) -> _View:
    explanation = one.explanation
    stem = f"{number:02}-{_plain(one.path.stem)}"
    names = [label.name for label in source.facts.labels]
    stages = []
    for place, stage in enumerate(explanation.stages, start=1):
        height, width, channels = stage.info.shape
        shown = len(strongest_channels(stage.maps))
        some = "all" if shown == channels else f"the strongest {shown}"
        stages.append(
            _StageView(
                title=f"{place}. {stage.info.name}",
                note=f"{stage.info.kind}, {width} x {height} cells, {some} of {channels} channels",
                uri=data_uri("image/jpeg", to_jpeg(map_sheet(stage))),
            )
        )
    return _View(
        name=one.path.name,
        path=str(one.path),
        explanation=explanation,
        probabilities=tuple(zip(names, explanation.decision.probabilities, strict=True)),
        input_uri=_uri(files[f"{stem}.input.png"]),
        overlay_uri=_uri(files[f"{stem}.heat.png"]),
        raw_uri=_uri(files[f"{stem}.map.png"]),
        low=float(explanation.heat.values.min()),
        high=float(explanation.heat.values.max()),
        stages=tuple(stages),
    )


def _uri(content: bytes) -> str:
    return data_uri("image/png", content)


def _plain(name: str) -> str:
    """Return a name without what some file systems do not take."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60]
