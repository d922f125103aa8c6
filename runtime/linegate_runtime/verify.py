"""Proves on this machine that a bundle is whole and that its models answer as promised."""

import enum
from collections.abc import Iterator

import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import BundleError, EngineError
from linegate_bundle.images import decode_image
from linegate_bundle.manifest import Engine, GoldenFrame, GoldenOutput, Manifest, ModelEntry
from linegate_runtime.backends import BACKENDS
from linegate_runtime.model import Model
from linegate_runtime.probe import try_in_child


class Outcome(enum.StrEnum):
    """Result of one check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check with its result.

    Attributes:
        subject: the member or model that was checked.
        outcome: how it went.
        detail: a sentence with what was expected and what came.
    """

    subject: str
    outcome: Outcome
    detail: str


def verify(bundle: Bundle) -> Iterator[Check]:
    """Check every member's hash, then every model on the golden frames.

    A model whose engine is not installed is skipped; if no model could be run at
    all, that is a failure.

    Raises:
        BundleError: a member does not match its hash.
    """
    for name in bundle.manifest.members:
        bundle.read(name)
        yield Check(subject=name, outcome=Outcome.OK, detail="SHA-256 matches")
    ran = False
    for entry in bundle.manifest.models:
        check = _verify_model(bundle, entry)
        ran = ran or check.outcome is not Outcome.SKIPPED
        yield check
    if not ran:
        yield Check(
            subject="engines", outcome=Outcome.FAILED, detail="no engine for any model is installed"
        )


def _verify_model(bundle: Bundle, entry: ModelEntry) -> Check:
    if not BACKENDS.load(entry.format.value).installed():
        detail = f"the engine {entry.format.value} is not installed here"
        return Check(subject=entry.file, outcome=Outcome.SKIPPED, detail=detail)
    frames: list[tuple[GoldenFrame, GoldenOutput]] = []
    try:
        # Some damage crashes an engine natively; a child does that for us.
        try_in_child(bundle, entry.format.value, precision=entry.precision)
        with Model.open(bundle, entry.format.value, precision=entry.precision) as model:
            frames = _frames_for(bundle.manifest, entry, model.engine)
            engine = f"{model.engine.name} {model.engine.version} ({model.engine.kernel})"
            for frame, output in frames:
                difference = _difference(bundle, model, frame, output)
                # "not <=" so that NaN fails.
                if not difference <= output.tolerance:
                    detail = (
                        f"{frame.file} in {engine}: a logit differs by {difference:.4g} from "
                        f"{output.engine.name} {output.engine.version} ({output.engine.kernel}), "
                        f"allowed are {output.tolerance:.4g}"
                    )
                    return Check(subject=entry.file, outcome=Outcome.FAILED, detail=detail)
    except (BundleError, EngineError) as error:
        return Check(subject=entry.file, outcome=Outcome.FAILED, detail=str(error))
    if not frames:
        return Check(subject=entry.file, outcome=Outcome.FAILED, detail="no golden frame covers it")
    detail = f"{len(frames)} golden frames answered as promised in {engine}"
    return Check(subject=entry.file, outcome=Outcome.OK, detail=detail)


def _frames_for(
    manifest: Manifest, entry: ModelEntry, engine: Engine
) -> list[tuple[GoldenFrame, GoldenOutput]]:
    """Return the answers that an engine must give: those of its own kernel where there are any."""
    frames = []
    for frame in manifest.golden:
        outputs = [output for output in frame.outputs if output.file == entry.file]
        own = [output for output in outputs if output.engine.kernel == engine.kernel]
        frames += [(frame, output) for output in (own or outputs)[:1]]
    return frames


def _difference(bundle: Bundle, model: Model, frame: GoldenFrame, output: GoldenOutput) -> float:
    logits = model.logits(decode_image(bundle.read(frame.file)))
    if logits.shape != (len(output.logits),):
        raise BundleError(
            f"{frame.file}: expected {len(output.logits)} logits, got {logits.shape[0]}"
        )
    return float(np.abs(logits - np.array(output.logits)).max())
