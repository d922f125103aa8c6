"""What a measurement on this machine depends on, so that it is known when to measure anew."""

import os
import platform
from pathlib import Path

import msgspec

import linegate_runtime
from linegate_runtime.distributions import find_versions

COMPUTING = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "numpy", "opencv-python-headless")
"""Distributions whose versions decide what comes out, and how fast."""

_CPUINFO = Path("/proc/cpuinfo")

_FEATURES = ("flags", "Features")
"""What x86 and ARM kernels call the list of a core's instructions."""


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


class Processor(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says about the processor.

    Attributes:
        name: model, or on ARM boards the board and the core's implementer and part.
        features: instructions that every core has, as the kernel calls them; on boards with
            two kinds of cores a thread may run on either.
    """

    name: str
    features: frozenset[str]


def read_processor(file: Path = _CPUINFO) -> Processor:
    """Read what the kernel says about the processor; empty where it says nothing."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        text = ""
    return parse_cpuinfo(text)


def parse_cpuinfo(text: str) -> Processor:
    """Read the text of ``/proc/cpuinfo``."""
    pairs = [line.partition(":") for line in text.splitlines() if ":" in line]
    # Of cores that differ the last one gives the name.
    known = {key.strip(): value.strip() for key, _, value in pairs}
    cores = [set(value.split()) for key, _, value in pairs if key.strip() in _FEATURES]
    # x86 names the model; ARM boards name themselves, and the core by two numbers.
    names = [known.get(key, "") for key in ("model name", "Model", "CPU implementer", "CPU part")]
    return Processor(
        name=" ".join(name for name in names if name),
        features=frozenset(set.intersection(*cores) if cores else ()),
    )


def _versions() -> dict[str, str]:
    return find_versions(COMPUTING)


def _processor() -> str:
    return f"{platform.machine()} {read_processor().name}".strip()
