"""``linegate inspect``: what a bundle holds, for people and for programs."""

import argparse
import sys

import msgspec

from linegate_bundle.bundle import Bundle
from linegate_bundle.command import Command
from linegate_bundle.manifest import (
    ArtifactAccuracy,
    Guarantee,
    Manifest,
    PreprocessSpec,
    Provenance,
    Risk,
    VotePolicy,
)
from linegate_runtime.commands.options import add_bundle, open_bundle


def describe(bundle: Bundle) -> str:
    """Return what a bundle holds as text for people."""
    manifest = bundle.manifest
    sections = [
        (f"{manifest.name} {manifest.version}", _identity(bundle)),
        ("labels", [(label.name, label.role.value) for label in manifest.labels]),
        ("input", _input(manifest.preprocess)),
        ("models", _models(manifest)),
        ("decision", _decision(manifest)),
        (f"accuracy on {manifest.accuracy.images} test images", _accuracy(manifest)),
        ("made from", _provenance(manifest)),
    ]
    lines: list[str] = []
    for title, rows in sections:
        lines += ["", title] if lines else [title]
        width = max(len(key) for key, _ in rows)
        lines += [f"  {key:<{width}}  {value}" for key, value in rows]
    return "\n".join(lines) + "\n"


def _identity(bundle: Bundle) -> list[tuple[str, str]]:
    return [
        ("file", str(bundle.path)),
        ("sha256", bundle.sha256),
        ("created", bundle.manifest.created),
        ("needs", f"linegate-runtime {bundle.manifest.minimum_runtime} or newer"),
    ]


def _input(spec: PreprocessSpec) -> list[tuple[str, str]]:
    region = spec.region
    return [
        ("size", f"{spec.width} x {spec.height} pixels, {spec.colour.value}"),
        ("resize", f"{spec.resize.value}, {spec.fit.value}"),
        (
            "region",
            "whole frame"
            if region is None
            else f"{region.width:.0%} x {region.height:.0%} at {region.x:.0%}, {region.y:.0%}",
        ),
    ]


def _models(manifest: Manifest) -> list[tuple[str, str]]:
    return [
        (
            entry.file,
            (
                f"{manifest.members[entry.file].size / 1e6:.2f} MB, checked with "
                f"{entry.engine.name} {entry.engine.version} ({entry.engine.kernel})"
            ),
        )
        for entry in manifest.models
    ]


def _decision(manifest: Manifest) -> list[tuple[str, str]]:
    policy = manifest.policy
    return [
        ("accept", f"probability of a defect at most {policy.accept_at_most:.3f}"),
        ("reject", f"probability of a defect at least {policy.reject_at_least:.3f}"),
        ("unsure", "in between"),
        ("vote", _vote(policy.vote)),
        *_certificate(manifest),
    ]


def _vote(vote: VotePolicy) -> str:
    if vote.needed is None:
        return f"{vote.frames} frames a part, {vote.method.value}"
    return f"{vote.frames} frames a part, {vote.needed} of them reject it"


def _certificate(manifest: Manifest) -> list[tuple[str, str]]:
    if manifest.certificate is None:
        return [("certificate", "none: no rate is proven")]
    certificate = manifest.certificate
    each = ", one a group" if certificate.groups < certificate.pictures else ""
    return [
        (
            "proven",
            (
                f"{_counted(one)} {one.target:g} at most, with {one.confidence:g} confidence "
                f"({one.errors} of {one.pictures} pictures{each}, {certificate.model})"
            ),
        )
        for one in certificate.guarantees
    ]


def _counted(guarantee: Guarantee) -> str:
    if guarantee.risk is Risk.FALSE_REJECT:
        return "share of good parts rejected"
    return f"share of {guarantee.label or 'defects'} accepted"


def _accuracy(manifest: Manifest) -> list[tuple[str, str]]:
    report = manifest.accuracy
    rows = [_accuracy_row(artifact) for artifact in (report.float32, *report.artifacts)]
    return [*rows, ("engines agree", f"{report.engine_agreement:.2%} of labels")]


def _accuracy_row(artifact: ArtifactAccuracy) -> tuple[str, str]:
    interval = artifact.accuracy_95
    return (
        artifact.artifact,
        (
            f"{artifact.accuracy:.2%} ({interval.low:.2%} to {interval.high:.2%}), "
            f"AUC {artifact.auc:.4f}, {artifact.escapes} escapes, "
            f"{artifact.false_rejects} false rejects, {artifact.unsure} unsure"
        ),
    )


def _provenance(manifest: Manifest) -> list[tuple[str, str]]:
    origin = manifest.provenance
    return [
        ("network", f"{origin.network}, weights {origin.weights}, seed {origin.seed}"),
        ("images", ", ".join(f"{count} {part}" for part, count in origin.images.items())),
        ("colour", _colour(origin)),
        ("data", origin.data_sha256),
        ("golden", f"{len(manifest.golden)} frames"),
    ]


def _colour(origin: Provenance) -> str:
    if origin.coloured is None:
        return "any"
    return "the training's pictures are " + ("coloured" if origin.coloured else "grey")


def _configure(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def _run(options: argparse.Namespace) -> int:
    with open_bundle(options.bundle) as bundle:
        if options.json:
            document = {
                "file": str(bundle.path),
                "sha256": bundle.sha256,
                "manifest": bundle.manifest,
            }
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
        else:
            sys.stdout.write(describe(bundle))
    return 0


COMMAND = Command(
    name="inspect",
    help="show what a bundle holds",
    description="Show a bundle's labels, input, models, thresholds, accuracy and origin.",
    configure=_configure,
    run=_run,
)
