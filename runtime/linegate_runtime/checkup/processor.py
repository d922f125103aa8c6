"""Which instructions the processor has for int8, and how much memory there is."""

import os
import platform
import re
from pathlib import Path

from linegate_runtime.checkup.base import Finding, Subject, passed, warned
from linegate_runtime.identity import Processor, available_cores, read_processor

_MEMINFO = Path("/proc/meminfo")

_LEAST_AVAILABLE_MB = 256
"""A line of one camera takes about 100 MB of memory; the README tells how that was measured."""

_INT8 = {
    "aarch64": {"asimddp": "dot products", "i8mm": "matrix products"},
    "x86_64": {"avx2": "AVX2", "avx_vnni": "AVX-VNNI", "avx512_vnni": "AVX512-VNNI"},
}
"""What speeds int8 up, by the kernel's names (Linux: arm64 "ELF hwcaps", x86 cpufeatures.h)."""


def check_processor(
    processor: Processor | None = None,
    machine: str | None = None,
    cores: tuple[int, int] | None = None,
) -> Finding:
    """Say what the processor is, and what int8 runs with.

    Args:
        processor: None reads what the kernel says.
        machine: the kernel's name for the architecture; None asks it.
        cores: how many this process may use, and how many there are; None asks.
    """
    known = read_processor() if processor is None else processor
    machine = platform.machine() if machine is None else machine
    usable, all_cores = (available_cores(), os.cpu_count() or 1) if cores is None else cores
    present = [title for name, title in _INT8.get(machine, {}).items() if name in known.features]
    if present:
        int8 = f"int8 runs with {', '.join(present)}"
    elif machine == "aarch64":
        int8 = "int8 runs without dot-product instructions, so more slowly (Raspberry Pi 4, older)"
    else:
        int8 = "int8 runs without instructions of its own"
    count = f"{usable} cores" if usable == all_cores else f"{usable} of {all_cores} cores"
    return passed(Subject.PROCESSOR, f"{known.name or 'unnamed'} ({machine}), {count}; {int8}")


def parse_meminfo(text: str) -> dict[str, int]:
    """Read the text of ``/proc/meminfo``; bytes by key."""
    found = re.findall(r"^(\w+):\s*([0-9]+) kB$", text, re.MULTILINE | re.ASCII)
    return {key: 1024 * int(value) for key, value in found}


def check_memory(file: Path = _MEMINFO) -> Finding:
    """Say whether there is memory enough for a line."""
    try:
        known = parse_meminfo(file.read_text())
    except OSError:
        known = {}
    if "MemTotal" not in known or "MemAvailable" not in known:
        return passed(Subject.MEMORY, "this machine does not tell")
    total, available = (round(known[key] / 1e6) for key in ("MemTotal", "MemAvailable"))
    text = f"{available} MB of {total} MB are available"
    if available < _LEAST_AVAILABLE_MB:
        return warned(
            Subject.MEMORY,
            f"{text}, expected at least {_LEAST_AVAILABLE_MB} MB",
            "end what else runs here, such as a desktop; a line takes about 100 MB",
        )
    return passed(Subject.MEMORY, text)
