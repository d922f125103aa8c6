"""Reading and writing ``manifest.json``, and checking that its fields fit each other."""

import re
from collections.abc import Container, Iterable

import msgspec

from linegate_bundle.errors import BundleError
from linegate_bundle.manifest import (
    LOGITS,
    SCHEMA_VERSION,
    Activation,
    DecisionPolicy,
    DType,
    Label,
    Manifest,
    ModelEntry,
    Region,
    Role,
    VoteMethod,
)

_SIGMOID_LABELS = 2
_ZERO_POINTS: dict[DType, Container[int | None]] = {
    DType.INT8: range(-128, 128),
    DType.UINT8: range(256),
    DType.FLOAT32: (None,),
}
"""What a zero point may be; None where there is no quantization."""


class _Versioned(msgspec.Struct):
    schema_version: int


def decode_manifest(content: bytes, runtime_version: str) -> Manifest:
    """Read and check a manifest.

    Args:
        content: UTF-8 JSON.
        runtime_version: version of the runtime that wants to use it, ``X.Y.Z``.

    Raises:
        BundleError: not JSON, another schema version, a field missing, unknown or
            of the wrong type, or fields that contradict each other.
    """
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise BundleError(
                f"manifest.json: expected schema version {SCHEMA_VERSION}, got {version}; "
                "use a bundle and a linegate-runtime of the same release"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"manifest.json: {error}; export the bundle again with the same release of linegate"
        ) from error
    if _release(runtime_version) < _release(manifest.minimum_runtime):
        raise BundleError(
            f"the bundle {manifest.name} {manifest.version} needs linegate-runtime "
            f"{manifest.minimum_runtime} or newer, this is {runtime_version}; update the runtime"
        )
    check_manifest(manifest)
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as indented JSON with a final newline; the same in, the same out."""
    return (
        msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"
    )


def check_manifest(manifest: Manifest) -> None:
    """Raise :class:`BundleError` where fields of a manifest contradict each other."""
    problems = [
        *check_labels(manifest.labels),
        *check_policy(manifest.policy),
        *_check_certificate(manifest),
        *_check_region(manifest.preprocess.region),
        *_check_models(manifest),
        *_check_golden(manifest),
    ]
    if problems:
        raise BundleError("manifest.json contradicts itself: " + "; ".join(problems))


def check_labels(labels: Iterable[Label]) -> list[str]:
    """Return what is wrong with a list of labels, as sentences; empty if nothing is."""
    labels = list(labels)
    names = [label.name for label in labels]
    problems = []
    if len(set(names)) != len(names):
        problems.append(f"label names must differ, got {names}")
    missing = [role for role in Role if role not in {label.role for label in labels}]
    problems += [
        f"expected at least one label with the role {role}, got {names}" for role in missing
    ]
    return problems


def check_policy(policy: DecisionPolicy) -> list[str]:
    """Return what is wrong with a policy, as sentences; empty if nothing is."""
    problems = []
    if not policy.accept_at_most < policy.reject_at_least:
        problems.append(
            f"accept_at_most ({policy.accept_at_most}) must be below "
            f"reject_at_least ({policy.reject_at_least})"
        )
    vote = policy.vote
    if (vote.method is VoteMethod.K_OF_N) != (vote.needed is not None):
        problems.append(f"{VoteMethod.K_OF_N} and no other vote says how many frames are needed")
    elif vote.needed is not None and vote.needed > vote.frames:
        problems.append(f"{vote.needed} frames are needed for a verdict, of {vote.frames}")
    return problems


def _check_certificate(manifest: Manifest) -> list[str]:
    if manifest.certificate is None:
        return []
    roles = {label.name: label.role for label in manifest.labels}
    problems = []
    if manifest.certificate.model not in {entry.file for entry in manifest.models}:
        problems.append(f"{manifest.certificate.model!r} is certified, but not in the bundle")
    for guarantee in manifest.certificate.guarantees:
        what = f"the {guarantee.risk} rate of {guarantee.label or 'all'}"
        if guarantee.label is not None and roles.get(guarantee.label) is not Role.DEFECT:
            problems.append(f"{what} is certified, but that is no label of defects")
        if guarantee.p_value > 1 - guarantee.confidence or guarantee.errors > guarantee.pictures:
            problems.append(f"{what} is certified without proof: {guarantee}")
    return problems


def _check_region(region: Region | None) -> list[str]:
    if region is None or (region.x + region.width <= 1 and region.y + region.height <= 1):
        return []
    return [f"the region of interest reaches outside the frame: {region}"]


def _check_models(manifest: Manifest) -> list[str]:
    problems = []
    files = [entry.file for entry in manifest.models]
    if not files or len(set(files)) != len(files):
        problems.append(f"expected at least one model, each once, got {files}")
    if manifest.activation is Activation.SIGMOID and len(manifest.labels) > _SIGMOID_LABELS:
        problems.append(f"sigmoid needs two labels, got {len(manifest.labels)}")
    for entry in manifest.models:
        problems += _check_model(manifest, entry)
    return problems


def _check_model(manifest: Manifest, entry: ModelEntry) -> list[str]:
    problems = []
    if entry.file != f"model.{entry.precision}.{entry.format}":
        problems.append(f"{entry.file} does not fit {entry.precision} and {entry.format}")
    if entry.file not in manifest.members:
        problems.append(f"{entry.file} is not among the members")
    expected_input = (1, *manifest.preprocess.shape)
    if entry.input.shape != expected_input:
        problems.append(
            f"{entry.file} takes {entry.input.shape}, preprocessing gives {expected_input}"
        )
    logits = 1 if manifest.activation is Activation.SIGMOID else len(manifest.labels)
    outputs = {tensor.name: tensor.shape for tensor in entry.outputs}
    if outputs.get(LOGITS) != (1, logits):
        problems.append(
            f"{entry.file}: {len(manifest.labels)} labels with {manifest.activation} need "
            f"an output {LOGITS!r} of shape {(1, logits)}, got {outputs}"
        )
    for tensor in (entry.input, *entry.outputs):
        zero_point = None if tensor.quantization is None else tensor.quantization.zero_point
        if zero_point not in _ZERO_POINTS[tensor.dtype]:
            problems.append(
                f"{entry.file}: {tensor.name} is {tensor.dtype} and has the zero point {zero_point}"
            )
    return problems


def _check_golden(manifest: Manifest) -> list[str]:
    problems = []
    names = {label.name for label in manifest.labels}
    files = {entry.file for entry in manifest.models}
    for frame in manifest.golden:
        if frame.file not in manifest.members:
            problems.append(f"{frame.file} is not among the members")
        if frame.label not in names:
            problems.append(f"{frame.file} has the unknown label {frame.label!r}")
        problems += [
            f"{frame.file} names the unknown model {output.file!r}"
            for output in frame.outputs
            if output.file not in files
        ]
    return problems


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise BundleError(f"expected a version like 1.2.3, got {version!r}")
    return tuple(int(number) for number in match.groups())
