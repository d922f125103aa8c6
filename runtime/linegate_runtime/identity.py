"""What a measurement on this machine depends on, so that it is known when to measure anew."""

import os
import platform
from pathlib import Path

import msgspec

import linegate_runtime
from linegate_runtime.distributions import find_versions

_PACKAGES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "numpy", "opencv-python-headless")


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle on a machine with its software.

    Attributes:
        bundle_sha256: of the whole file.
        linegate: version of the runtime.
        python: version.
        packages: versions of what computes, by distribution; those that are installed.
        processor: as the system names it.
        cores: how many this process may use.
    """

    bundle_sha256: str
    linegate: str
    python: str
    packages: dict[str, str]
    processor: str
    cores: int


def identify(bundle_sha256: str) -> Identity:
    """Return the identity of a bundle here."""
    return Identity(
        bundle_sha256=bundle_sha256,
        linegate=linegate_runtime.__version__,
        python=platform.python_version(),
        packages=_versions(),
        processor=_processor(),
        cores=available_cores(),
    )


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _versions() -> dict[str, str]:
    return find_versions(_PACKAGES)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if ":" in line]
    keys = [line.partition(":")[0].strip() for line in text.splitlines() if ":" in line]
    known = dict(zip(keys, names, strict=True))
    # x86 names the model; ARM boards name themselves, and the core by two numbers.
    parts = [known.get(key, "") for key in ("model name", "Model", "CPU implementer", "CPU part")]
    return " ".join([platform.machine(), *(part for part in parts if part)])
