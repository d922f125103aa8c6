"""Helpers shared by tests; they import only the contract package."""

from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.bundle import write_bundle
from linegate_bundle.manifest import (
    LOGITS,
    SCHEMA_VERSION,
    AccuracyReport,
    Activation,
    ArtifactAccuracy,
    Colour,
    DecisionPolicy,
    DType,
    Engine,
    Fit,
    Interval,
    Label,
    Manifest,
    ModelEntry,
    ModelFormat,
    Precision,
    PreprocessSpec,
    Provenance,
    Quantization,
    Resize,
    Role,
    TensorSpec,
    VoteMethod,
    VotePolicy,
)

TINY_BUNDLE = Path(__file__).parent / "data" / "tiny.linegate"
"""A real bundle of a small net; ``python -m tests.export.make_fixture`` makes it anew."""

FAKE_ENGINE = Engine(name="fake", version="1", kernel="mean")
GOOD_AND_BRIGHT = (
    Label(name="functional", role=Role.GOOD),
    Label(name="bright", role=Role.DEFECT),
)
"""The fake engine takes bright pictures for the last label."""


def tiny_bundle(
    path: Path,
    *,
    labels: Sequence[Label] = GOOD_AND_BRIGHT,
    activation: Activation = Activation.SIGMOID,
    size: int = 16,
    vote_frames: int = 3,
) -> Path:
    """Write a small, consistent bundle whose models only the fake engine runs.

    Returns:
        ``path``.
    """
    manifest = tiny_manifest(
        labels=labels, activation=activation, size=size, vote_frames=vote_frames
    )
    members = {entry.file: b"a model for the fake engine" for entry in manifest.models}
    write_bundle(path, manifest, members)
    return path


def tiny_manifest(
    *,
    labels: Sequence[Label] = GOOD_AND_BRIGHT,
    activation: Activation = Activation.SIGMOID,
    size: int = 16,
    vote_frames: int = 3,
) -> Manifest:
    """Return the manifest of :func:`tiny_bundle`; its ``members`` are still empty."""
    whole = Interval(low=0.0, high=1.0)
    accuracy = ArtifactAccuracy(
        artifact="model.float32.keras",
        accuracy=0.9,
        accuracy_95=whole,
        auc=0.9,
        escapes=0,
        false_rejects=0,
        unsure=0,
        agreement_with_float=1.0,
    )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        version="1.0.0",
        created="2026-01-01T00:00:00Z",
        minimum_runtime="0.1.0",
        labels=tuple(labels),
        preprocess=PreprocessSpec(
            colour=Colour.RGB,
            region=None,
            width=size,
            height=size,
            resize=Resize.AREA_LINEAR_EXACT,
            fit=Fit.STRETCH,
        ),
        activation=activation,
        models=tuple(
            _entry(format_, len(labels), activation, size)
            for format_ in (ModelFormat.TFLITE, ModelFormat.ONNX)
        ),
        policy=DecisionPolicy(
            accept_at_most=0.3,
            reject_at_least=0.7,
            vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=vote_frames, needed=None),
        ),
        certificate=None,
        accuracy=AccuracyReport(
            images=10, defects=5, float32=accuracy, artifacts=(), engine_agreement=1.0
        ),
        golden=(),
        provenance=Provenance(
            network="fake",
            weights="none",
            seed=0,
            data_sha256="0" * 64,
            split_sha256="0" * 64,
            images={"train": 10},
            coloured=None,
            versions={},
        ),
        members={},
    )


def _entry(format_: ModelFormat, labels: int, activation: Activation, size: int) -> ModelEntry:
    logits = 1 if activation is Activation.SIGMOID else labels
    return ModelEntry(
        file=f"model.int8.{format_}",
        format=format_,
        precision=Precision.INT8,
        engine=FAKE_ENGINE,
        input=TensorSpec(
            name="image",
            shape=(1, size, size, 3),
            dtype=DType.INT8,
            quantization=Quantization(scale=1.0, zero_point=-128),
        ),
        outputs=(
            TensorSpec(
                name=LOGITS,
                shape=(1, logits),
                dtype=DType.INT8,
                quantization=Quantization(scale=0.125, zero_point=0),
            ),
        ),
    )
