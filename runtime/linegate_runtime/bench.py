"""How fast a bundle is on this machine: by part of the work, by engine and by threads."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from linegate_bundle.bundle import Bundle
from linegate_bundle.decide import decide_part
from linegate_bundle.errors import EngineError, LinegateError
from linegate_bundle.manifest import LOGITS, Engine
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import machine
from linegate_runtime.backends import BACKENDS
from linegate_runtime.geometry import Size
from linegate_runtime.identity import Identity, available_cores, identify
from linegate_runtime.model import Model
from linegate_runtime.probe import probe
from linegate_runtime.state import recall, remember

_WARM_UP = 5
"""Runs before the first that counts."""

_WORTH = 0.97
"""More threads are proposed only if they take at most this share of the time: they also cost
power, heat and whatever else runs on the board."""

_WINDOW_S = 5.0
"""The sustained rate is taken over windows of this length."""


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """Medians in milliseconds.

    Attributes:
        preprocess: from the frame to the model's input.
        invoke: the engine alone.
        decide: from its output to the verdict.
        whole: all of it, measured as one.
        p99: of the whole.
    """

    preprocess: float
    invoke: float
    decide: float
    whole: float
    p99: float


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run the model.

    Attributes:
        engine: name of the backend.
        threads: threads of one inference.
        runs_on: what the backend says about itself; None if it failed.
        stages: None if it failed.
        error: why it failed; None otherwise.
    """

    engine: str
    threads: int
    runs_on: Engine | None = None
    stages: Stages | None = None
    error: str | None = None


class Sustained(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate run without a pause.

    Attributes:
        seconds: for how long.
        frames_per_second: on average.
        slowest, fastest: frames a second in the slowest and fastest window of five seconds.
        temperature_start_c, temperature_end_c: None where the machine does not tell.
        throttling: what slowed the processor down; None where the machine does not tell.
    """

    seconds: float
    frames_per_second: float
    slowest: float
    fastest: float
    temperature_start_c: float | None
    temperature_end_c: float | None
    throttling: tuple[str, ...] | None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured, and what it means.

    Attributes:
        identity: of bundle and machine.
        frame: width and height of the frames in pixels.
        rounds: how often each candidate was timed; the candidates took turns.
        candidates: in the order they were given.
        proposal: the candidate to run.
        sustained: of that one; None if it was not asked for.
    """

    identity: Identity
    frame: tuple[int, int]
    rounds: int
    candidates: tuple[Candidate, ...]
    proposal: Candidate
    sustained: Sustained | None


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        engines: names of backends; None takes all that are installed and have a model.
        threads: how many threads to try; None tries 1, 2, 4, ... up to all cores.
        size: of the frames.
        seconds: how long to time the candidates together, at least.
        sustained_s: how long to run the proposal without a pause; 0 leaves that out.
    """

    engines: tuple[str, ...] | None = None
    threads: tuple[int, ...] | None = None
    size: Size = dataclasses.field(default_factory=lambda: Size(640, 480))
    seconds: float = 5.0
    sustained_s: float = 60.0


class Proposals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was proposed for a bundle on this machine."""

    identity: Identity
    engine: str
    threads: int


def measure(
    bundle: Bundle, options: BenchOptions, progress: Callable[[str], None] = lambda _: None
) -> Measured:
    """Time every candidate, by turns so that all meet the same disturbances.

    Raises:
        EngineError: none of them runs.
    """
    frame = _frame(options.size)
    opened: list[tuple[Candidate, Model]] = []
    failed: list[Candidate] = []
    try:
        for engine, threads in _choices(bundle, options):
            try:
                # Not every model that is opened here is one that the line would run anyway.
                probe(bundle, engine, threads)
                opened.append(_open(bundle, engine, threads))
            except LinegateError as error:
                failed.append(Candidate(engine=engine, threads=threads, error=str(error)))
        if not opened:
            raise EngineError("; ".join(candidate.error or "" for candidate in failed))
        timed, rounds = _time_all([model for _, model in opened], frame, options.seconds, progress)
        candidates = [
            msgspec.structs.replace(candidate, stages=stages)
            for (candidate, _), stages in zip(opened, timed, strict=True)
        ]
        proposal = propose(candidates)
        model = opened[candidates.index(proposal)][1]
        sustained = None
        if options.sustained_s > 0:
            sustained = _sustain(model, frame, options.sustained_s, progress)
    finally:
        for _, model in opened:
            model.close()
    return Measured(
        identity=identify(bundle.sha256),
        frame=(options.size.width, options.size.height),
        rounds=rounds,
        candidates=(*candidates, *failed),
        proposal=proposal,
        sustained=sustained,
    )


def propose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the shortest time; of nearly equal ones that with less threads."""
    timed = [(one.stages.whole, one) for one in candidates if one.stages is not None]
    fastest = min(whole for whole, _ in timed)
    near = [(one.threads, whole, one) for whole, one in timed if fastest >= _WORTH * whole]
    return min(near, key=lambda entry: entry[:2])[2]


def remember_proposal(measured: Measured) -> None:
    """Keep what was proposed, for ``linegate run --engine auto``."""
    proposal = measured.proposal
    sha256 = measured.identity.bundle_sha256
    remember(
        _name(sha256),
        Proposals(identity=measured.identity, engine=proposal.engine, threads=proposal.threads),
    )


def recall_proposal(bundle: Bundle) -> tuple[str, int] | None:
    """Return the engine and threads proposed for a bundle on this machine as it is now."""
    known = recall(_name(bundle.sha256), Proposals)
    if known is None or known.identity != identify(bundle.sha256):
        return None
    return known.engine, known.threads


def _name(sha256: str) -> str:
    return f"bench-{sha256[:16]}"


def _choices(bundle: Bundle, options: BenchOptions) -> Iterator[tuple[str, int]]:
    formats = {entry.format for entry in bundle.manifest.models}
    for engine in options.engines or [name for name in BACKENDS.names() if name != "fake"]:
        family = BACKENDS.load(engine)
        is_asked = options.engines is not None
        if is_asked or (family.installed() and family.format in formats):
            for threads in options.threads or _doubled(available_cores()):
                yield engine, threads


def _doubled(cores: int) -> list[int]:
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == cores else [*counts, cores]


def _open(bundle: Bundle, engine: str, threads: int) -> tuple[Candidate, Model]:
    model = Model.open(bundle, engine, threads)
    return Candidate(engine=engine, threads=threads, runs_on=model.engine), model


def _frame(size: Size) -> UInt8Array:
    # Noise: the time depends on the size only, and no cache can know the picture.
    shape = (size.height, size.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _time_all(
    models: Sequence[Model], frame: UInt8Array, seconds: float, progress: Callable[[str], None]
) -> tuple[list[Stages], int]:
    for model in models:
        for _ in range(_WARM_UP):
            _run_once(model, frame)
    times: list[list[tuple[float, ...]]] = [[] for _ in models]
    start = time.monotonic()
    while not times[0] or time.monotonic() - start < seconds:
        for model, taken in zip(models, times, strict=True):
            taken.append(_run_once(model, frame))
        progress(f"timing {len(models)} candidates by turns · round {len(times[0])}")
    return [_stages(taken) for taken in times], len(times[0])


def _run_once(model: Model, frame: UInt8Array) -> tuple[float, float, float, float]:
    """Return the seconds of preprocessing, engine, decision, and of all as the line does it."""
    manifest = model.manifest
    clock = time.perf_counter
    start = clock()
    tensor = model.prepare(frame)
    prepared = clock()
    stored = model.invoke(tensor, (LOGITS,))
    invoked = clock()
    seen = model.interpret(stored)
    decide_part([seen.probabilities], manifest.labels, manifest.policy)
    decided = clock()
    seen = model.see(frame)
    decide_part([seen.probabilities], manifest.labels, manifest.policy)
    return prepared - start, invoked - prepared, decided - invoked, clock() - decided


def _stages(taken: Sequence[tuple[float, ...]]) -> Stages:
    preprocess, invoke, decide, whole = (
        1000 * statistics.median(times) for times in zip(*taken, strict=True)
    )
    wholes = sorted(one[-1] for one in taken)
    p99 = 1000 * wholes[min(len(wholes) - 1, int(0.99 * len(wholes)))]
    return Stages(preprocess=preprocess, invoke=invoke, decide=decide, whole=whole, p99=p99)


def _sustain(
    model: Model, frame: UInt8Array, seconds: float, progress: Callable[[str], None]
) -> Sustained:
    temperature_start_c = machine.temperature_c()
    throttled: list[machine.Throttling | None] = []
    rates: list[float] = []
    frames = 0
    start = time.monotonic()
    while (now := time.monotonic()) - start < seconds:
        window_end = min(now + _WINDOW_S, start + seconds)
        in_window = 0
        while time.monotonic() < window_end:
            model.see(frame)
            in_window += 1
        rates.append(in_window / (time.monotonic() - now))
        frames += in_window
        throttled.append(machine.ask_throttling())
        progress(f"running without a pause · {rates[-1]:.1f} frames/s")
    elapsed_s = time.monotonic() - start
    return Sustained(
        seconds=elapsed_s,
        frames_per_second=frames / elapsed_s,
        slowest=min(rates),
        fastest=max(rates),
        temperature_start_c=temperature_start_c,
        temperature_end_c=machine.temperature_c(),
        throttling=_all_reasons([*throttled, machine.ask_throttling()]),
    )


def _all_reasons(throttled: Sequence[machine.Throttling | None]) -> tuple[str, ...] | None:
    """Return what slowed the processor down at any time; None if it never told."""
    told = [one.now for one in throttled if one is not None]
    return tuple(sorted({reason for reasons in told for reason in reasons})) if told else None
