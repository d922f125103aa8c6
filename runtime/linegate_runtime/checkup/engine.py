"""Does an engine run int8 here, and with the fast kernels? Asked from the engine, not guessed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from linegate_bundle.errors import LinegateError
from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.checkup.child import ChildError, run_python
from linegate_runtime.checkup.users import this_user
from linegate_runtime.distributions import find_versions
from linegate_runtime.engine_names import AUTO_ENGINE, DEFAULT_ENGINE
from linegate_runtime.identity import COMPUTING

if TYPE_CHECKING:
    from linegate_bundle.bundle import Bundle
    from linegate_bundle.manifest import Engine
    from linegate_runtime.config import EngineTable

_CHILD = ("-m", "linegate_runtime.checkup.engine_child")

_SLOW = "builtin"
"""What an interpreter of TensorFlow Lite calls its own kernels, without XNNPACK."""

_INSTALL = "pip install 'linegate-runtime[litert]', or run the installer again"


def check_tiny(
    run: Callable[[], str] = lambda: run_python(_CHILD),
    packages: Mapping[str, str] | None = None,
) -> Finding:
    """Try the engine ``tflite`` with a model that is part of this package.

    Args:
        run: returns what the child prints; raises ChildError.
        packages: versions of what computes, by distribution; None looks.
    """
    import msgspec  # noqa: PLC0415 - beside the next, which needs numpy

    from linegate_bundle.manifest import Engine  # noqa: PLC0415

    known = find_versions(COMPUTING) if packages is None else packages
    if not {"ai-edge-litert", "tflite-runtime"} & known.keys():
        if "onnxruntime" not in known:
            return failed(Subject.ENGINE, "no engine is installed", _INSTALL)
        text = f"the engine tflite is not installed; onnxruntime {known['onnxruntime']} is"
        return warned(Subject.ENGINE, text, "try it with a bundle: linegate doctor --bundle FILE")
    try:
        engine = msgspec.json.decode(run(), type=Engine)
    except ChildError as error:
        return failed(Subject.ENGINE, f"with a tiny int8 model, the engine {error}", _INSTALL)
    return judge(engine, "a tiny int8 model")


def check_bundle(path: Path, table: "EngineTable") -> Finding:
    """Try a bundle's model, in a child first, in the engine that the settings name.

    Args:
        path: of the bundle.
        table: ``[engine]`` of the settings.
    """
    import linegate_runtime  # noqa: PLC0415 - these need numpy
    from linegate_bundle.bundle import Bundle  # noqa: PLC0415
    from linegate_runtime.model import Model  # noqa: PLC0415
    from linegate_runtime.probe import try_in_child  # noqa: PLC0415

    verify = f"linegate verify {path}"
    try:
        with Bundle.open(path, linegate_runtime.__version__) as bundle:
            name, threads = _chosen(bundle, table)
            try_in_child(bundle, name, threads)
            with Model.open(bundle, name, threads) as model:
                manifest = bundle.manifest
                finding = judge(model.engine, f"{manifest.name} {manifest.version}")
    except LinegateError as error:
        if _forbids(error.__cause__, path):
            return _unreadable(path)
        return failed(Subject.ENGINE, str(error), f"to know more: {verify}")
    except OSError as error:
        if _forbids(error, path):
            return _unreadable(path)
        text = f"{path}: expected a bundle, it cannot be read: {error.strerror or error}"
        return failed(Subject.ENGINE, text, "give the .linegate file")
    if finding.advice is not None:
        return finding
    return passed(Subject.ENGINE, finding.detail, f"to prove its answers: {verify}")


def _forbids(error: BaseException | None, path: Path) -> bool:
    """Say whether an error is that a file may not be read."""
    return isinstance(error, PermissionError) and str(error.filename) == str(path)


def _unreadable(path: Path) -> Finding:
    # Who looks may be the service's user, who enters nobody's home.
    name = this_user().name
    text = f"{path}: the user {name} may not read it"
    return failed(Subject.ENGINE, text, f"copy it to where the user {name} may read it")


def judge(engine: "Engine", ran: str) -> Finding:
    """Say whether an engine uses fast kernels.

    Args:
        engine: name, version and kernel, as it told them.
        ran: what it ran.
    """
    text = f"{engine.name} {engine.version} runs {ran}"
    if engine.kernel == _SLOW:
        return warned(
            Subject.ENGINE,
            f"{text} without XNNPACK, many times slower",
            f"where the system has ai-edge-litert: {_INSTALL}",
        )
    return passed(Subject.ENGINE, f"{text} with {_KERNELS.get(engine.kernel, engine.kernel)}")


_KERNELS = {"xnnpack": "XNNPACK", "cpu": "its kernels for the CPU"}


def _chosen(bundle: "Bundle", table: "EngineTable") -> tuple[str, int]:
    """Return the engine and threads that a line would start with, without timing any."""
    if table.name != AUTO_ENGINE:
        return table.name, table.threads or 1
    from linegate_runtime.bench import recall_proposal  # noqa: PLC0415

    name, threads = recall_proposal(bundle) or (DEFAULT_ENGINE, 1)
    return name, table.threads or threads
