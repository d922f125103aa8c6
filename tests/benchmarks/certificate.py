"""How often a certified rate is broken, drawn from a truth that is known.

For each row thresholds are chosen on 2,000 calibration parts with so many good and so many
defective pictures, targets and confidence (95 %) as a user gives them. A draw is broken if
the true rate at its thresholds is above the target; the promise allows 5 %. The naive choice
takes the last threshold at which the calibration part shows at most the target's share.
In the last row pictures come in fives of one part, which have 90 % of the variance in common.
"""

from tests.benchmarks.bench import Result, write
from tests.export.promise import Groups, simulate

_DRAWS = 2000
_CASES = ((400, 0.05), (150, 0.1), (1000, 0.01))


def measure() -> Result:
    """Draw every case with scores of a float and of an int8 model."""
    rows = []
    for pictures, rate in _CASES:
        for int8 in (False, True):
            broken = simulate(_DRAWS, pictures, rate, int8=int8)
            name = "int8" if int8 else "float"
            figures = (broken.escapes, broken.false_rejects, broken.naive_escapes)
            rows.append((pictures, rate, name, *figures))
    grouped = simulate(_DRAWS, 500, 0.05, int8=True, groups=Groups(size=5, alike=0.9))
    figures = (grouped.escapes, grouped.false_rejects, grouped.naive_escapes)
    rows.append((500, 0.05, "int8, in fives", *figures))
    return Result(
        name="certificate",
        protocol=__doc__ or "",
        columns=(
            "pictures a role", "target", "scores", "escapes broken", "false rejects broken",
            "naive escapes broken",
        ),
        rows=rows,
        figures={
            "violation_rate": max(max(row[3:5]) for row in rows),
            "naive_violation_rate": min(row[5] for row in rows),
        },
    )  # fmt: skip


if __name__ == "__main__":
    write(measure())
