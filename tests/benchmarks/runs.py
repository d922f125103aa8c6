"""What a finished run says about its test part, from its ``predictions.csv``."""

import csv
import dataclasses
import time

import numpy as np
import sklearn.metrics

from linegate_bundle.atomic import write_atomic
from linegate_bundle.manifest import Role
from linegate_bundle.run_folder import PREDICTIONS_FILE, Part, RunFolder
from linegate_training.networks.registry import load_network
from linegate_training.options import TrainOptions
from linegate_training.provenance import configuration, versions
from linegate_training.run import resolve, train

_OF_NO_INFLUENCE = {"out", "cache", "existing_run", "tensorboard"}
_PREFIX = "probability:"


@dataclasses.dataclass(frozen=True)
class OnTest:
    """Of one run, on its test part.

    Attributes:
        images: how many.
        accuracy: share whose most probable label is the true one.
        gate_accuracy: share on the right side of good or defective.
        auc: area under the ROC curve of defective against good.
    """

    images: int
    accuracy: float
    gate_accuracy: float
    auc: float


def scores_on_test(run: RunFolder) -> OnTest:
    """Score a run's predictions on its test part."""
    with (run.path / PREDICTIONS_FILE).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == Part.TEST]
    names = [name.removeprefix(_PREFIX) for name in rows[0] if name.startswith(_PREFIX)]
    defects = {label.name for label in run.read_record().labels if label.role is Role.DEFECT}
    probabilities = np.array([[float(row[_PREFIX + name]) for name in names] for row in rows])
    truth = np.array([names.index(row["label"]) for row in rows])
    given = probabilities.argmax(axis=1)
    defective = np.array([name in defects for name in names])
    return OnTest(
        images=len(rows),
        accuracy=float((given == truth).mean()),
        gate_accuracy=float((defective[given] == defective[truth]).mean()),
        auc=float(
            sklearn.metrics.roc_auc_score(defective[truth], probabilities[:, defective].sum(axis=1))
        ),
    )


def train_once(options: TrainOptions) -> tuple[RunFolder, float]:
    """Train, or take what an earlier call left with the same options and versions.

    Returns:
        The run, and the seconds that its training took.
    """
    run = RunFolder(options.out)
    clock = options.out.with_name(f"{options.out.name}.seconds")
    if run.record.is_file() and clock.is_file() and _was_trained_with(run, options):
        return run, float(clock.read_text())
    start = time.monotonic()
    run = train(options)
    seconds = time.monotonic() - start
    write_atomic(clock, f"{seconds:.1f}".encode())
    return run, seconds


def _was_trained_with(run: RunFolder, options: TrainOptions) -> bool:
    network = load_network(options.network, options.alpha)
    record, wanted = run.read_record(), configuration(resolve(options, network))
    return record.versions.items() <= versions().items() and all(
        record.configuration.get(name) == value
        for name, value in wanted.items()
        if name not in _OF_NO_INFLUENCE
    )
