"""All that a report and a model card tell, computed once."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import keras

from linegate_bundle.preprocess import UInt8Array
from linegate_bundle.run_folder import Part, RunRecord
from linegate_training.data.prepare import Prepared
from linegate_training.explain.keras_source import KerasSource
from linegate_training.explain.source import ModelFacts
from linegate_training.fitting.history import HistoryRow
from linegate_training.options import Monitor
from linegate_training.report.by_group import ByGroup, score_groups
from linegate_training.report.calibration import Calibration, calibrate
from linegate_training.report.evaluation import Evaluation, evaluate_part, logit_model
from linegate_training.report.leaks import NearDuplicates, SplitFacts, check_split
from linegate_training.report.scores import Scores, score
from linegate_training.report.worst import WorstError, worst_errors

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found about a training.

    Attributes:
        record: what was trained, on what.
        history: one row an epoch; may be empty.
        validation: the float model on the validation part.
        test: the float model on the test part.
        scores: figures of the test part.
        calibration: whether its probabilities mean what they say.
        by_group: its errors by group.
        split: counts and leak check.
        worst: its surest errors.
        augmentations: a few training pictures under each operation of the augmentation,
            uint8 ``(n, height, width, channels)`` by name.
    """

    record: RunRecord
    history: tuple[HistoryRow, ...]
    validation: Evaluation
    test: Evaluation
    scores: Scores
    calibration: Calibration
    by_group: ByGroup
    split: SplitFacts
    worst: tuple[WorstError, ...]
    augmentations: Mapping[str, UInt8Array]

    @property
    def monitor(self) -> Monitor:
        """What decided which epoch's weights were kept."""
        return Monitor(str(self.record.configuration.get("monitor", Monitor.LOSS)))


def find(
    model: keras.Model,
    prepared: Prepared,
    history: Sequence[HistoryRow],
    record: RunRecord,
    *,
    augmentations: Mapping[str, UInt8Array],
    near_duplicates: NearDuplicates | None = None,
) -> Findings:
    """Evaluate a trained model on validation and test, and look at its errors.

    Args:
        model: from raw pixels to probabilities.
        prepared: what it was trained on.
        history: of its training.
        record: of its run.
        augmentations: see :class:`Findings`.
        near_duplicates: what a search for pictures that look alike found.

    Raises:
        EngineError: a logit is not finite.
    """
    counts = Counter(row.part for row in prepared.rows)
    _LOG.info(
        "evaluating %d validation and %d test images for the report",
        counts[Part.VALIDATION],
        counts[Part.TEST],
    )
    to_logits = logit_model(model)
    validation = evaluate_part(to_logits, prepared, Part.VALIDATION, record.labels)
    test = evaluate_part(to_logits, prepared, Part.TEST, record.labels)
    facts = ModelFacts(record.name, "", record.labels, record.preprocess)
    source = KerasSource(model, facts, record.activation)
    return Findings(
        record=record,
        history=tuple(history),
        validation=validation,
        test=test,
        scores=score(test),
        calibration=calibrate(validation, test),
        by_group=score_groups(test),
        split=check_split(prepared.rows, near_duplicates),
        worst=worst_errors(test, source),
        augmentations=augmentations,
    )
