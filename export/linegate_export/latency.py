"""How long each artifact takes on this machine, in one run in which they take turns."""

import statistics
import time
from collections.abc import Mapping

from linegate_bundle.preprocess import UInt8Array, encode
from linegate_export.conversion import Artifact
from linegate_export.progress import bar
from linegate_runtime.backends import BACKENDS

ROUNDS = 30
_WARM_UP = 3


def measure_latency(artifacts: Mapping[str, Artifact], pictures: UInt8Array) -> dict[str, float]:
    """Return the median milliseconds of one inference by name, one thread.

    Of a shared or busy machine only the ratios mean anything, and on another processor even
    these differ; ``linegate bench`` measures on the device.

    Args:
        artifacts: what to run.
        pictures: raw pixels, uint8 ``(n, height, width, channels)``, at least one.

    Raises:
        EngineError: an engine is missing or fails.
    """
    backends = {
        name: BACKENDS.load(artifact.entry.format.value)(artifact.entry, artifact.content, 1)
        for name, artifact in artifacts.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in artifacts}
    try:
        for number in bar(range(_WARM_UP + ROUNDS), "latency", _WARM_UP + ROUNDS):
            picture = pictures[number % len(pictures)]
            for name, backend in backends.items():
                tensor = encode(picture, artifacts[name].entry.input.dtype)
                start = time.perf_counter()
                backend.invoke(tensor)
                seconds[name].append(time.perf_counter() - start)
    finally:
        for backend in backends.values():
            backend.close()
    return {name: 1000 * statistics.median(took[_WARM_UP:]) for name, took in seconds.items()}
