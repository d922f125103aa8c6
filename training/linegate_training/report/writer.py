"""Writing what people read into a run folder."""

from collections.abc import Sequence
from pathlib import Path

import keras

from linegate_bundle.atomic import write_atomic
from linegate_bundle.run_folder import CARD_FILE, PREDICTIONS_FILE, REPORT_FILE, RunRecord
from linegate_training.augment.augmentation import Augmentation
from linegate_training.augment.augmenter import examples
from linegate_training.data.prepare import Prepared
from linegate_training.fitting.history import HistoryRow
from linegate_training.report.augmentations import choose_pictures
from linegate_training.report.card import render_card
from linegate_training.report.findings import find
from linegate_training.report.leaks import NearDuplicates
from linegate_training.report.page import render
from linegate_training.report.predictions import encode_predictions

_PLAIN = "as they are"


def write_report(
    folder: Path,
    model: keras.Model,
    prepared: Prepared,
    history: Sequence[HistoryRow],
    record: RunRecord,
    *,
    augmentation: Augmentation,
    near_duplicates: NearDuplicates | None = None,
) -> None:
    """Evaluate a trained model and write report, model card and predictions.

    Args:
        folder: the run folder.
        model: from raw pixels to probabilities.
        prepared: what it was trained on.
        history: one row an epoch.
        record: of the run.
        augmentation: how its training varied pictures.
        near_duplicates: what a search for pictures that look alike found.

    Raises:
        EngineError: the model gives what is not finite.
        OSError: the disk is full or the folder not writable.
    """
    pictures = choose_pictures(prepared)
    findings = find(
        model,
        prepared,
        history,
        record,
        augmentations={_PLAIN: pictures, **examples(pictures, augmentation, record.seed)},
        near_duplicates=near_duplicates,
    )
    predictions = encode_predictions([findings.validation, findings.test])
    write_atomic(folder / PREDICTIONS_FILE, predictions)
    write_atomic(folder / CARD_FILE, render_card(findings))
    write_atomic(folder / REPORT_FILE, render(findings))
