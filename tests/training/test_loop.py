import csv
import dataclasses
import io
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from linegate_bundle.errors import ConfigError, TrainingError
from linegate_training.fitting.examples import Examples, Truth
from linegate_training.fitting.history import HistoryRow, encode_history
from linegate_training.fitting.loop import Plan, check_tensorboard, fit
from linegate_training.fitting.optimizer import Rates
from linegate_training.fitting.scoring import predict_logits, score
from linegate_training.fitting.sources import ActivationSource, Float32Array, Inputs
from linegate_training.options import Monitor

PLAN = Plan(
    stage="training",
    epochs=6,
    batch_size=16,
    rates=Rates(highest=0.05),
    monitor=Monitor.LOSS,
    patience=3,
    label_smoothing=0.0,
    seed=0,
)


def net(outputs: int = 1) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((2, 2, 1))
    return keras.Model(image, keras.layers.Dense(outputs)(keras.layers.Flatten()(image)))


def examples(images: int, seed: int, *, flipped: bool = False) -> Examples:
    """Bright images are 1; with ``flipped`` they are 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, images)
    inputs = labels[:, None, None, None, None] + rng.normal(0, 0.3, (images, 1, 2, 2, 1))
    targets = (1 - labels if flipped else labels).astype(np.float32)[:, None]
    return of(inputs, targets)


def of(inputs: Inputs, targets: Float32Array, weights: Float32Array | None = None) -> Examples:
    """Inputs of shape ``(images, 1, ...)`` with sure targets."""
    outputs = targets.shape[1]
    truth = Truth(
        labels=targets[:, 0].astype(int) if outputs == 1 else targets.argmax(axis=1),
        targets=targets,
        weights=np.ones(len(targets), np.float32) if weights is None else weights,
        defects=np.arange(max(outputs, 2)) > 0,
    )
    return Examples(ActivationSource(inputs), truth)


def inputs_of(data: Examples) -> Inputs:
    return data.source.batch(np.arange(data.source.images), None)


def replaced(**changes: object) -> Plan:
    return Plan(**{**PLAN.__dict__, **changes})


def test_training_learns_and_leaves_a_row_an_epoch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = net()
    rows = fit(model, examples(128, 1), examples(64, 2), PLAN)
    assert [row.epoch for row in rows] == list(range(7))
    assert rows[0].loss is None
    assert rows[-1].validation_accuracy > 0.9
    assert rows[-1].validation_loss < rows[0].validation_loss
    assert rows[1].learning_rate > rows[-1].learning_rate
    assert rows[-1].learning_rate == pytest.approx(0, abs=1e-6)
    assert sum("validation loss" in message for message in caplog.messages) == 6


def test_accuracy_of_shares_is_that_of_the_labels_they_lean_to() -> None:
    sure = examples(128, 1)
    truth = dataclasses.replace(sure.truth, targets=0.2 + 0.6 * sure.truth.targets)
    rows = fit(net(), dataclasses.replace(sure, truth=truth), examples(64, 2), PLAN)
    assert (rows[-1].accuracy or 0) > 0.9


def test_several_outputs_are_trained_as_one_choice() -> None:
    model = net(outputs=3)
    two = examples(128, 1)
    given = two.truth.targets
    targets = np.concatenate([given, 1 - given, 0 * given], axis=1)
    data = of(inputs_of(two)[:, None], targets)
    assert (fit(model, data, data, PLAN)[-1].accuracy or 0) > 0.9


def test_training_that_only_harms_validation_leaves_the_weights_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = net()
    before = model.get_weights()
    rows = fit(model, examples(128, 1), examples(64, 2, flipped=True), PLAN)
    assert len(rows) == 1 + PLAN.patience
    assert "no epoch was better on validation than the random weights" in caplog.text
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_best_weights_come_back() -> None:
    model = net()
    validation = examples(64, 2)
    rows = fit(model, examples(128, 1), validation, replaced(rates=Rates(highest=3.0), epochs=8))
    best = min(row.validation_loss for row in rows)
    logits = predict_logits(model, validation.source)
    truth = validation.truth
    kept = score(logits, truth.targets, truth.labels, truth.defects).loss
    assert kept == pytest.approx(best, rel=1e-4)


def test_same_seed_gives_the_same_weights_another_seed_others() -> None:
    results = []
    for seed in (1, 1, 2):
        model = net()
        fit(model, examples(128, 1), examples(64, 2), replaced(seed=seed))
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_weights_of_images_count() -> None:
    even, validation = examples(128, 1), examples(64, 2)
    mixed = even.truth.targets.copy()
    mixed[:64] = 1 - mixed[:64]
    weights = np.repeat([0.0, 1.0], 64).astype(np.float32)
    rows = fit(net(), of(inputs_of(even)[:, None], mixed, weights), validation, PLAN)
    assert rows[-1].validation_accuracy > 0.8


def test_broken_loss_stops_and_names_the_step() -> None:
    data = examples(64, 1)
    broken = of(np.full_like(inputs_of(data)[:, None], np.nan), data.truth.targets)
    with pytest.raises(
        TrainingError, match="got nan at step 1 of training epoch 1; lower --learning-rate"
    ):
        fit(net(), broken, data, PLAN)


def test_diverging_loss_stops() -> None:
    data = examples(64, 1)
    with pytest.raises(TrainingError, match=r"at step \d+ of training epoch \d+"):
        fit(net(), data, data, replaced(rates=Rates(highest=1e38), epochs=10, patience=10))


def test_history_reads_back_as_csv() -> None:
    row = HistoryRow("training", 1, 1e-3, 0.5, 0.75, 0.25, 1.0, 0.5, 2.5)
    lines = list(csv.DictReader(io.StringIO(encode_history([row]).decode())))
    assert lines == [
        {
            "stage": "training", "epoch": "1", "learning_rate": "0.001", "loss": "0.5",
            "accuracy": "0.75", "validation_loss": "0.25", "validation_accuracy": "1",
            "validation_auc": "0.5", "seconds": "2.5",
        }
    ]  # fmt: skip


def test_the_head_learns_at_its_own_rate() -> None:
    def trained(rates: Rates) -> list[Inputs]:
        keras.utils.set_random_seed(0)
        image = keras.Input((2, 2, 1))
        hidden = keras.layers.Dense(3)(keras.layers.Flatten()(image))
        head = keras.layers.Dense(1)
        model = keras.Model(image, head(hidden))
        before = model.get_weights()
        fit(model, examples(128, 1), examples(64, 2), replaced(rates=rates, epochs=2), head=head)
        pairs = zip(before, model.get_weights(), strict=True)
        return [np.abs(one - other).max() for one, other in pairs]

    plain, fast = trained(Rates(highest=1e-3)), trained(Rates(highest=1e-3, head_factor=10))
    assert fast[0] < 3 * plain[0]
    assert fast[2] > 5 * plain[2]


def test_the_average_of_the_weights_is_kept_and_not_trained_on() -> None:
    plan = replaced(rates=Rates(highest=0.05, average=2.0), epochs=8)
    plain, averaged = net(), net()
    rows = fit(plain, examples(128, 1), examples(64, 2), replaced(epochs=8))
    average_rows = fit(averaged, examples(128, 1), examples(64, 2), plan)
    # The weights that are trained on are the same, so the train part sees the same losses.
    losses, others = ([row.loss for row in one[1:]] for one in (rows, average_rows))
    assert losses == pytest.approx(others)
    assert rows[1].validation_loss != average_rows[1].validation_loss
    pairs = zip(plain.get_weights(), averaged.get_weights(), strict=True)
    assert any((one != other).any() for one, other in pairs)


@pytest.mark.parametrize("monitor", Monitor)
def test_the_monitored_score_decides(monitor: Monitor) -> None:
    model, validation = net(), examples(64, 2)
    rows = fit(model, examples(128, 1), validation, replaced(monitor=monitor, patience=99))
    truth = validation.truth
    kept = score(
        predict_logits(model, validation.source), truth.targets, truth.labels, truth.defects
    )
    best = {
        Monitor.LOSS: min(row.validation_loss for row in rows),
        Monitor.ACCURACY: max(row.validation_accuracy for row in rows),
        Monitor.AUC: max(row.validation_auc for row in rows),
    }[monitor]
    assert getattr(kept, monitor) == pytest.approx(best, rel=1e-4)


def test_a_folder_for_tensorboard_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"can be written to .* another --tensorboard"):
        check_tensorboard(tmp_path / "file" / "events")


def test_event_files_for_tensorboard_hold_the_scores(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    plan = replaced(tensorboard=tmp_path, epochs=3)
    rows = fit(net(), examples(128, 1), examples(64, 2), plan)
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()
    assert {"epoch_loss", "epoch_accuracy"} <= set(events.Tags()["tensors"])
    validation = EventAccumulator(str(tmp_path / "validation"), size_guidance={"tensors": 0})
    validation.Reload()
    found = [float(make_ndarray(event.tensor_proto)) for event in validation.Tensors("epoch_auc")]
    assert found == pytest.approx([row.validation_auc for row in rows[1:]])
