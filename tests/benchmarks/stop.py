"""How long a real line takes to end after SIGTERM, while something around it does not answer.

``linegate run`` judges 30 parts a second of a fake camera, with the gate ``gpio`` on pins in a
file, an MQTT broker and an HTTP receiver. Half a second before the signal one of them is stopped
or has never said a word; ten times each. ``stop_s_max`` is the longest time until the process was
gone; ``not_in_order`` counts ends with another exit code than 0, a gate that accepted on, a
process that was left, or a record whose last write was not closed.
"""

import os
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.bench import Result, show_progress, write
from tests.stop_run import Ended, Trouble, end_in
from tests.support import tiny_bundle

_TIMES = int(os.environ.get("LINEGATE_STOPS", "10"))


def measure() -> Result:
    """End a line in every trouble by turns."""
    ends: dict[Trouble, list[float]] = {trouble: [] for trouble in Trouble}
    not_in_order = 0
    for _ in range(_TIMES):
        for trouble in Trouble:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                ended = end_in(folder, tiny_bundle(folder / "tiny-1.0.0.linegate"), trouble)
                ends[trouble].append(ended.seconds)
                not_in_order += not _is_in_order(ended, folder)
    return Result(
        name="stop",
        protocol=__doc__ or "",
        columns=("what does not answer", "median s", "longest s"),
        rows=[
            (trouble.value, statistics.median(seconds), max(seconds))
            for trouble, seconds in ends.items()
        ],
        figures={
            "stop_s_max": max(max(seconds) for seconds in ends.values()),
            "not_in_order": not_in_order,
        },
    )


def _is_in_order(ended: Ended, folder: Path) -> bool:
    is_closed = not (folder / "gated.sqlite-wal").exists()
    return ended.code == 0 and ended.is_safe and not ended.left and is_closed


if __name__ == "__main__":
    show_progress()
    write(measure())
