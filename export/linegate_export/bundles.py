"""Two bundles on the same photographs: is the new one as good as the old?"""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import Decision
from linegate_bundle.errors import BundleError, DataError
from linegate_bundle.images import find_images, read_image
from linegate_bundle.manifest import Label, ModelFormat, Role
from linegate_bundle.preprocess import Preprocessor
from linegate_bundle.run_folder import Part, read_split
from linegate_export.conversion import Artifact
from linegate_export.evaluate import evaluate
from linegate_export.measured import Rate, rate
from linegate_export.paired import Paired, compare
from linegate_export.pictures import checked_content
from linegate_export.policy import count_verdicts
from linegate_export.progress import bar


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What one bundle does with the photographs, by its own preprocessing and thresholds.

    Attributes:
        name: and version.
        sha256: of the bundle.
        accuracy: photographs given their true label.
        escapes: defective ones with the verdict accept.
        false_rejects: good ones with the verdict reject.
        unsure: with the verdict unsure.
    """

    name: str
    sha256: str
    accuracy: Rate
    escapes: Rate
    false_rejects: Rate
    unsure: Rate


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two bundles on the same photographs; ``paired`` is the second against the first."""

    photographs: int
    first: Judged
    second: Judged
    paired: Paired


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Files with their true labels."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]


def find_photographs(folder: Path, split: Path | None = None) -> Photographs:
    """Find photographs in a folder with one sub-folder a label, or the test part of a split.

    Args:
        folder: the photographs.
        split: ``split.csv`` of a run that was trained on this folder; only its test part is
            taken then, which neither bundle should have learned from.

    Raises:
        DataError: there are none, or one is not the picture of the split.
    """
    if split is not None:
        rows = [row for row in read_split(split) if row.part is Part.TEST]
        for row in rows:
            checked_content(row, folder)
        files, labels = [folder / row.path for row in rows], [row.label for row in rows]
    else:
        inner = sorted(path for path in folder.glob("*/") if not path.name.startswith("."))
        found = [(file, label.name) for label in inner for file in find_images(label)]
        files, labels = [file for file, _ in found], [label for _, label in found]
    if not files:
        raise DataError(
            f"{folder}: expected photographs in one sub-folder a label, as for the training, "
            "found none"
        )
    return Photographs(tuple(files), tuple(labels))


def compare_bundles(
    first: Path, second: Path, photographs: Photographs, format_: ModelFormat
) -> Comparison:
    """Judge photographs with the int8 models of two bundles and compare the results.

    Raises:
        BundleError: one is damaged, or their labels differ.
        DataError: a photograph cannot be read, or has a label that the bundles do not know.
        EngineError: the engine is missing or fails.
    """
    runtime = importlib.metadata.version("linegate-runtime")
    with Bundle.open(first, runtime) as one, Bundle.open(second, runtime) as other:
        labels = _same_labels(one, other)
        unknown = sorted(set(photographs.labels) - {label.name for label in labels})
        if unknown:
            raise DataError(
                f"expected photographs of {', '.join(label.name for label in labels)}, got some of "
                f"{', '.join(unknown)}"
            )
        before, after = (_decide(bundle, photographs, format_) for bundle in (one, other))
        return Comparison(
            photographs=len(photographs.files),
            first=_judged(one, before, photographs, labels),
            second=_judged(other, after, photographs, labels),
            paired=compare(before, after, photographs.labels, labels),
        )


def _same_labels(first: Bundle, second: Bundle) -> tuple[Label, ...]:
    """Return the labels of both, in the order of the first; each bundle decides in its own."""
    labels = first.manifest.labels
    roles = [{label.name: label.role for label in one.manifest.labels} for one in (first, second)]
    if roles[0] != roles[1]:
        told = [", ".join(f"{name} ({role})" for name, role in one.items()) for one in roles]
        raise BundleError(
            f"expected two bundles with the same labels, got {told[0]} in {first.path} and "
            f"{told[1]} in {second.path}"
        )
    return labels


def _decide(bundle: Bundle, photographs: Photographs, format_: ModelFormat) -> tuple[Decision, ...]:
    manifest = bundle.manifest
    entry = manifest.model(format_)
    name = f"{manifest.name} {manifest.version}"
    preprocess = Preprocessor(manifest.preprocess)
    pixels = np.empty((len(photographs.files), *manifest.preprocess.shape), np.uint8)
    for index, path in enumerate(bar(photographs.files, f"reading for {name}", len(pixels))):
        preprocess(read_image(path), out=pixels[index])
    artifact = Artifact(entry, bundle.read(entry.file))
    evaluation = evaluate(artifact, pixels, manifest.activation, name)
    return evaluation.decisions(manifest.labels, manifest.policy)


def _judged(
    bundle: Bundle, decisions: Sequence[Decision], photographs: Photographs, labels: Sequence[Label]
) -> Judged:
    defects = [label.name for label in labels if label.role is Role.DEFECT]
    counts = count_verdicts(
        np.array([decision.defect_probability for decision in decisions]),
        np.isin(photographs.labels, defects),
        bundle.manifest.policy,
    )
    right = sum(
        decision.label == label
        for decision, label in zip(decisions, photographs.labels, strict=True)
    )
    return Judged(
        name=f"{bundle.manifest.name} {bundle.manifest.version}",
        sha256=bundle.sha256,
        accuracy=rate(right, len(decisions)),
        escapes=rate(counts.escapes, counts.defects),
        false_rejects=rate(counts.false_rejects, counts.goods),
        unsure=rate(counts.unsure, len(decisions)),
    )
