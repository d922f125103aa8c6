"""Made-up evaluations: what a model might have said about pictures that nobody took."""

import hashlib
from collections.abc import Sequence

import numpy as np

from linegate_bundle.decide import Float64Array
from linegate_bundle.manifest import Colour, Fit, Label, PreprocessSpec, Resize, Role
from linegate_bundle.run_folder import RUN_SCHEMA_VERSION, Part, RunRecord, SplitRow
from linegate_training.data.pixels import Pixels
from linegate_training.networks.base import activation_for
from linegate_training.report.evaluation import Evaluation, from_logits

TWO = (Label(name="good", role=Role.GOOD), Label(name="bad", role=Role.DEFECT))
THREE = (*TWO, Label(name="worse", role=Role.DEFECT))


def row(
    path: str, label: str = "good", group: str | None = None, part: Part = Part.TEST
) -> SplitRow:
    """Make up a row of a split; files of different paths differ."""
    digest = hashlib.sha256(path.encode()).hexdigest()
    return SplitRow(path=path, label=label, group=group or path, part=part, sha256=digest)


def evaluation(
    logits: Float64Array,
    truth: Sequence[str],
    groups: Sequence[str] | None = None,
    labels: tuple[Label, ...] = TWO,
) -> Evaluation:
    """Make an evaluation of logits ``(n, logits)``; the pictures are black."""
    names = [f"{label}/{number:04}.png" for number, label in enumerate(truth)]
    rows = [
        row(name, label, group)
        for name, label, group in zip(names, truth, groups or names, strict=True)
    ]
    places = {one.sha256: place for place, one in enumerate(rows)}
    pixels = Pixels(np.zeros((len(rows), 8, 8, 3), np.uint8), places, {})
    return from_logits(np.asarray(logits, np.float64), rows, pixels, labels)


def said(truth: Sequence[str], given: Sequence[str], groups: Sequence[str]) -> Evaluation:
    """Make an evaluation in which the labels given are these, each with the same certainty."""
    logits = [[2.0 if label == "bad" else -2.0] for label in given]
    return evaluation(np.array(logits), truth, groups)


def record(labels: tuple[Label, ...], **configuration: str | float | None) -> RunRecord:
    """Make up the record of a run with these options."""
    return RunRecord(
        schema_version=RUN_SCHEMA_VERSION,
        name="made-up",
        created="2026-01-02T03:04:05+00:00",
        network="tiny",
        weights="none",
        seed=0,
        labels=labels,
        activation=activation_for(len(labels)),
        preprocess=PreprocessSpec(
            colour=Colour.RGB,
            region=None,
            width=8,
            height=8,
            resize=Resize.AREA_LINEAR_EXACT,
            fit=Fit.STRETCH,
        ),
        data="photographs",
        data_sha256="0" * 64,
        split_sha256="1" * 64,
        model_sha256="2" * 64,
        coloured=None,
        configuration=configuration,
        versions={"keras": "3"},
    )
