"""A thousand parts on a simulated belt before a real ``linegate run``.

Speed and gaps are drawn at random (8 to 28 pixels a frame, gaps of 0.3 to 1.5 part lengths),
the light drifts up and down by 30 %, the camera adds noise of 3 grey levels; 640x480 at 30
frames a second through JPEG over HTTP. Every part that is wholly in view must get exactly one
verdict; ``bad_per_1000`` counts those missed, those doubled and verdicts of no part.
``agreement_offline``: share of the parts with the verdict that the same bundle gives for
crops at the part's true place in the same frames as drawn, without JPEG.
"""

import statistics
import tempfile
from pathlib import Path

from linegate_runtime.testing import UnevenBelt
from tests.belt_run import FPS, draw_parts, run_belt
from tests.benchmarks.bench import Result, show_progress, write

_PARTS = 1000


def measure() -> Result:
    """Run the belt once."""
    belt = UnevenBelt(draw_parts(_PARTS), speeds_px=(8, 28), gaps_px=(30, 150), seed=1)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_belt(belt, Path(folder))
    ages = sorted(age * FPS / 1000 for age in outcome.ages_ms)
    return Result(
        name="belt",
        protocol=__doc__ or "",
        columns=("parts shown", "missed", "doubled", "of no part", "late", "as offline"),
        rows=[
            (
                *(outcome.shown, outcome.missed, outcome.doubled, outcome.strays, outcome.late),
                outcome.agreement,
            )
        ],
        figures={
            "bad_per_1000": outcome.bad_per_1000,
            "agreement_offline": outcome.agreement,
            "age_frames_median": statistics.median(ages),
            "age_frames_p99": ages[int(0.99 * len(ages))],
        },
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
