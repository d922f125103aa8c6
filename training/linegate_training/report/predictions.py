"""The predictions as a table, so that others can draw their own curves."""

import csv
import io
from collections.abc import Sequence

from linegate_training.report.evaluation import Evaluation


def encode_predictions(evaluations: Sequence[Evaluation]) -> bytes:
    """Write predictions as CSV: path, part, label, group, then the probability of each label.

    Probabilities have the digits that bring back the same float64.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = evaluations[0].names
    writer.writerow(["path", "part", "label", "group", *(f"probability:{name}" for name in names)])
    for evaluation in evaluations:
        for row, values in zip(evaluation.rows, evaluation.probabilities.tolist(), strict=True):
            writer.writerow([row.path, row.part.value, row.label, row.group, *map(repr, values)])
    return text.getvalue().encode()
