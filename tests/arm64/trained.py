"""A bundle that was trained and exported for real, small enough for an emulated processor."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import linegate_runtime
from tests.benchmarks.deeppcb import unpack

_CLASS_PICTURES = {"train": 100, "test": 40}
"""Of each class of defects; of good ones three times as many."""

_TRAIN = (
    *("--good", "ok", "--network", "mobilenet_v2", "--alpha", "0.35", "--weights", "none"),
    *("--size", "64", "--epochs", "6", "--variants", "1", "--near-duplicates", "ignore"),
    *("--group-pattern", r"^(\d+)_", "--fractions", "0.74", "0.05", "0.2", "0.01"),
)

_EXPORT = (
    *("--repair", "off", "--max-accuracy-loss", "0.2", "--max-new-escapes", "0.5"),
    *("--max-class-loss", "0.5", "--max-auc-loss", "0.2", "--min-agreement", "0.9"),
)
"""The gate is wide: what is proven here is that two processors answer alike, not that a net
which was trained for a minute is good."""


def trained_bundle(folder: Path) -> Path:
    """Train and export a bundle of circuit boards once; later calls find it.

    Args:
        folder: for what is kept.

    Returns:
        The bundle.
    """
    options = [linegate_runtime.__version__, _CLASS_PICTURES, _TRAIN, _EXPORT]
    key = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]
    kept = folder / f"trained-{key}"
    bundle = kept / "boards-1.0.0.linegate"
    if not bundle.exists():
        making = folder / f"trained-{key}.making"
        shutil.rmtree(making, ignore_errors=True)
        data = making / "boards"
        for part, count in _CLASS_PICTURES.items():
            for source in choose(part, count):
                target = data / part / source.parent.name / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        cache = making / "cache"
        _linegate("train", data, "--out", making / "run", "--cache", cache, *_TRAIN)
        _linegate("export", making / "run", "--out", making, *_EXPORT)
        shutil.rmtree(kept, ignore_errors=True)
        making.rename(kept)
    return bundle


def choose(part: str, count: int) -> list[Path]:
    """Choose crops of DeepPCB evenly.

    Args:
        part: ``train`` or ``test``.
        count: of each class of defects; of good ones three times as many.
    """
    chosen = []
    for folder in sorted((unpack().resolve() / part).iterdir()):
        files = sorted(folder.glob("*.png"))
        wanted = count * (3 if folder.name == "ok" else 1)
        chosen += [files[len(files) * index // wanted] for index in range(wanted)]
    return chosen


def _linegate(*words: str | Path) -> None:
    command = [sys.executable, "-m", "linegate_runtime", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"linegate {words[0]}: code {done.returncode}\n{done.stderr[-4000:]}")
