"""Does a bundle's model run here at all? Tried in a process of its own, which may crash.

A damaged or hostile model file can crash its interpreter natively; no exception can be
caught then. So nothing is opened in the process that judges parts before a child has
opened it, run it on the golden frames and come back.

``python -m linegate_runtime.probe BUNDLE SHA256 ENGINE THREADS PRECISION`` is that child.
"""

import signal
import sys
from pathlib import Path

import msgspec

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_bundle.errors import BundleError, ConfigError, EngineError, LinegateError
from linegate_bundle.manifest import Precision
from linegate_runtime.identity import Identity, identify
from linegate_runtime.state import recall, remember

_LIMIT_S = 60.0
"""For opening the largest model on the slowest board; a probe that takes longer hangs."""

_KEPT = 32
"""So many good probes are remembered, the newest."""

_ERRORS = {error.exit_code: error for error in (BundleError, ConfigError, EngineError)}


class Probed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that ran.

    Attributes:
        identity: where.
        engine: in which engine.
        threads: with so many threads.
    """

    identity: Identity
    engine: str
    threads: int


class Probes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is remembered about probes, the oldest first."""

    good: tuple[Probed, ...] = ()


def probe(bundle: Bundle, engine: str, threads: int) -> None:
    """Make sure that a bundle's model runs here, unless that is known already.

    Args:
        bundle: an open bundle with a path.
        engine: name of a registered backend.
        threads: threads that one inference may use.

    Raises:
        EngineError: the model crashes its interpreter, hangs or is refused.
        BundleError, ConfigError: as when the model is opened.
    """
    probed = Probed(identity=identify(bundle.sha256), engine=engine, threads=threads)
    known = recall("probes", Probes) or Probes()
    if probed in known.good:
        return
    try_in_child(bundle, engine, threads)
    remember("probes", Probes(good=(*known.good, probed)[-_KEPT:]))


def try_in_child(
    bundle: Bundle, engine: str, threads: int = 1, precision: Precision = Precision.INT8
) -> None:
    """Let a child open a bundle's model and run it on the golden frames.

    Args:
        bundle: an open bundle with a path, at which the child must find the same one.
        engine: name of a registered backend.
        threads: threads that one inference may use.
        precision: of the model file.

    Raises:
        EngineError: the model crashes its interpreter, hangs or is refused.
        BundleError, ConfigError: as when the model is opened.
    """
    import subprocess  # noqa: PLC0415 - what is known to run is not tried again

    path = bundle.path
    command = [sys.executable, "-P", "-m", "linegate_runtime.probe", str(path), bundle.sha256]
    try:
        done = subprocess.run(
            [*command, engine, str(threads), precision.value],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{path}: expected the model to run on its golden frames, the engine {engine} hangs "
            f"on it for {_LIMIT_S:g} s; export it again, or use the previous bundle"
        ) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise EngineError(
            f"{path}: expected a model that runs, it crashes the engine {engine} ({name}); "
            "export it again, or use the previous bundle"
        )
    if done.returncode:
        message = done.stderr.strip() or f"the probe ended with code {done.returncode}"
        raise _ERRORS.get(done.returncode, EngineError)(message)


def _main(path: Path, sha256: str, engine: str, threads: int, precision: Precision) -> int:
    from linegate_bundle.images import decode_image  # noqa: PLC0415 - the parent needs neither
    from linegate_runtime.model import Model  # noqa: PLC0415

    try:
        with Bundle.open(path, linegate_runtime.__version__) as bundle:
            if bundle.sha256 != sha256:
                raise BundleError(f"{path}: was exchanged while it was being opened; start again")
            with Model.open(bundle, engine, threads, precision) as model:
                for frame in bundle.manifest.golden:
                    model.outputs(decode_image(bundle.read(frame.file)))
    except LinegateError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(
        _main(
            Path(sys.argv[1]),
            sys.argv[2],
            sys.argv[3],
            int(sys.argv[4]),
            Precision(sys.argv[5]),
        )
    )
