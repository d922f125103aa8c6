"""From the lists of a data check to plain words: what is wrong, how bad, and what to do."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np

from linegate_training.data.cache import AnyArray
from linegate_training.data.findings import (
    SERIOUS,
    DataReport,
    Finding,
    Kind,
    Severity,
)

_FEW_IMAGES = 20
"""With fewer images of a class, the test part holds about five of them."""
_IMBALANCE = 10
"""So many times as many images in the largest class as in the smallest are worth a word."""
_HIGH_DEPTH, _FULL_DEPTH = 16, 15
"""Images of 16 bits that use fewer than 15 are less than half as bright as they could be."""


def conclude(report: DataReport, looks: AnyArray) -> DataReport:
    """Return the report with its findings, the worst first.

    Args:
        report: all lists filled, without findings.
        looks: at each image that can be decoded, dtype
            :data:`linegate_training.data.looks.LOOK`.
    """
    found = [*_about_pictures(report), *_about_depth(looks), *_about_classes(report)]
    found += _about_outliers(report)
    order = list(Kind)
    found.sort(key=lambda finding: order.index(finding.kind))
    return msgspec.structs.replace(report, findings=tuple(found))


def _finding(kind: Kind, count: int, message: str) -> Finding:
    severity = Severity.SERIOUS if kind in SERIOUS else Severity.NOTABLE
    return Finding(kind, severity, count, message)


def _about_pictures(report: DataReport) -> Iterator[Finding]:
    """Say what is wrong with files and pairs of them."""
    if report.corrupt:
        yield _finding(
            Kind.CORRUPT,
            len(report.corrupt),
            f"{_count(len(report.corrupt), 'file')} cannot be decoded: repair or remove them, or "
            "train with --skip-corrupt",
        )
    if report.conflicts:
        yield _finding(Kind.CONFLICT, len(report.conflicts), _about_conflicts(report))
    if report.leaks:
        yield _finding(
            Kind.LEAK,
            len(report.leaks),
            f"{_count(len(report.leaks), 'pair')} of images show one picture in two parts of the "
            "split, so the test flatters: make a new split with `linegate data split --new-split` "
            "and train with it (--split)",
        )
    if report.identical:
        files = sum(map(len, report.identical))
        yield _finding(
            Kind.IDENTICAL,
            len(report.identical),
            f"{files} files hold only {_count(len(report.identical), 'picture')}, byte by byte: a "
            "new split keeps them together",
        )
    if report.near_duplicates:
        yield _finding(
            Kind.NEAR_DUPLICATES,
            len(report.near_duplicates),
            f"{_count(len(report.near_duplicates), 'pair')} of near duplicates (turned, "
            "mirrored, rescaled, re-saved or photographed twice): a new split keeps them together",
        )
    if report.bursts:
        images = sum(map(len, report.bursts))
        yield _finding(
            Kind.BURSTS,
            len(report.bursts),
            f"{_count(len(report.bursts), 'burst')} with {images} images that follow each other "
            "and look like one part: a new split keeps them together",
        )


def _about_conflicts(report: DataReport) -> str:
    files = {path for same in report.identical for path in same}
    same = sum(
        pair.distance == 0 and {pair.first.path, pair.second.path} <= files
        for pair in report.conflicts
    )
    alike = len(report.conflicts) - same
    texts = []
    if same:
        texts.append(
            f"{_count(same, 'pair')} of identical files have two labels: remove the wrong ones, a "
            "training refuses them"
        )
    if alike:
        texts.append(
            f"{_count(alike, 'pair')} of images look the same and have two labels: look whether a "
            "small defect is the difference, or a label is wrong"
        )
    return "; ".join(texts)


def _about_depth(looks: AnyArray) -> Iterator[Finding]:
    deep = looks[looks["bits"] == _HIGH_DEPTH]
    unused = deep[deep["used_bits"] < _FULL_DEPTH]
    if len(unused):
        used = int(np.max(unused["used_bits"]))
        yield _finding(
            Kind.UNUSED_BITS,
            len(unused),
            f"{_count(len(unused), 'image')} of 16 bits a sample use at most {used} of them, as "
            f"those of a camera of {used} bits do. Only the upper 8 bits of 16 count, so they are "
            f"nearly black: multiply the values by {2 ** (_HIGH_DEPTH - used)} when saving, or "
            "save 8 bits",
        )


def _about_classes(report: DataReport) -> Iterator[Finding]:
    few = [figures for figures in report.classes if figures.images < _FEW_IMAGES]
    if few:
        named = ", ".join(f"{figures.label} ({figures.images})" for figures in few)
        yield _finding(
            Kind.FEW_IMAGES,
            len(few),
            f"Few images of {named}: below {_FEW_IMAGES} of a class, the test says little about it",
        )
    smallest, largest = (
        choose(report.classes, key=lambda figures: figures.images) for choose in (min, max)
    )
    if largest.images > _IMBALANCE * smallest.images:
        yield _finding(
            Kind.IMBALANCE,
            smallest.images,
            f"{largest.label} has {largest.images} images, {smallest.label} {smallest.images}: "
            "add some of the rare class, or train with --balance",
        )
    if len(report.sizes) > 1:
        yield _finding(
            Kind.SIZES,
            len(report.sizes),
            f"{len(report.sizes)} different sizes, most often {report.sizes[0].name} pixels "
            f"({report.sizes[0].images} images): all are brought to the network's size",
        )


def _about_outliers(report: DataReport) -> Iterator[Finding]:
    counts = Counter(outlier.kind for outlier in report.outliers)
    for kind, text in (
        (Kind.DARK, "much darker than others of their class"),
        (Kind.BRIGHT, "much brighter than others of their class"),
        (Kind.BLURRED, "much more blurred than others of their class"),
    ):
        if counts[kind]:
            yield _finding(kind, counts[kind], f"{_count(counts[kind], 'image')}: {text}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
