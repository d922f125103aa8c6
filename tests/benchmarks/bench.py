"""What the benchmarks share: a table on standard output, and the same as JSON.

A benchmark is a module with a function that returns a :class:`Result`; its make target is
``bench-NAME``, and ``build/benchmarks/NAME.json`` holds what it measured.
"""

import dataclasses
import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from linegate_bundle.atomic import write_atomic

FOLDER = Path("build/benchmarks")

DEVICE_PYTHON = Path("build/env/device/bin/python").absolute()
"""Of the environment that holds the runtime's wheel and what a device needs, nothing else."""

Value = str | int | float


@dataclasses.dataclass(frozen=True)
class Result:
    """What a benchmark measured.

    Attributes:
        name: of the benchmark.
        protocol: what was done, so that another can do the same.
        columns: titles of the table.
        rows: of the table.
        figures: what other programs look for, by name.
    """

    name: str
    protocol: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    figures: Mapping[str, float]


def show_progress() -> None:
    """Let linegate tell on standard error what it is doing."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def write(result: Result, folder: Path = FOLDER) -> Path:
    """Print a result, and write it to ``folder/NAME.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    content = {
        **dataclasses.asdict(result),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
    }
    write_atomic(path, json.dumps(content, indent=2).encode() + b"\n")
    print(f"{result.name}\n{result.protocol}\n")  # noqa: T201 - a benchmark prints its table
    print(_table(result.columns, result.rows))  # noqa: T201
    for name, value in result.figures.items():
        print(f"{name}: {value:.4g}")  # noqa: T201
    print(f"written to {path}")  # noqa: T201
    return path


def _table(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> str:
    """Return a table in which numbers are right-aligned."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    numeric = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [list(columns), *texts]
    ]
    return "\n".join([*lines, ""])


def _text(value: Value) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
