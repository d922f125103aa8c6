import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.run_folder import Part
from linegate_report.statistics import exact_interval
from linegate_training.fitting.callbacks import untrained_row
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.scoring import Scores
from linegate_training.options import Monitor
from linegate_training.report import words
from linegate_training.report.by_group import score_groups
from linegate_training.report.calibration import calibrate
from linegate_training.report.evaluation import Evaluation
from linegate_training.report.findings import Findings
from linegate_training.report.history import (
    best_row,
    ended_while_improving,
    learned_nothing,
    overfit,
)
from linegate_training.report.leaks import NearDuplicates, check_split
from linegate_training.report.scores import score
from tests.training.evaluations import TWO, evaluation, record, row


def epoch(number: int, loss: float, accuracy: float = 0.9, trained: float = 0.9) -> HistoryRow:
    return HistoryRow("training", number, 1e-3, loss, trained, loss, accuracy, accuracy, 1.0)


def findings(test: Evaluation, history: tuple[HistoryRow, ...] = ()) -> Findings:
    """Put findings together as the report does, but for the worst errors' pictures."""
    return Findings(
        record=record(TWO),
        history=history,
        validation=test,
        test=test,
        scores=score(test),
        calibration=calibrate(test, test),
        by_group=score_groups(test),
        split=check_split([row("a", group="g", part=Part.TRAIN), *test.rows]),
        worst=(),
        augmentations={},
    )


def thousand(wrong: int = 0, *, logit: float = 1.0) -> Evaluation:
    """A thousand pictures in groups of ten, the first so many wrong."""
    truth = ["good", "bad"] * 500
    signs = np.array([-1, 1] * 500)
    signs[:wrong] *= -1
    return evaluation(
        (logit * signs)[:, np.newaxis], truth, [f"g{number // 10}" for number in range(1000)]
    )


def steps(found: Findings) -> str:
    return "\n".join(words.next_steps(found))


def test_with_nothing_wrong_only_the_export_is_left_to_do() -> None:
    (step,) = words.next_steps(findings(thousand()))
    assert "linegate export" in step


def test_a_model_that_always_says_the_same_is_told_so() -> None:
    truth = ["good"] * 600 + ["bad"] * 400
    found = findings(evaluation(np.full((1000, 1), -0.4), truth, ["h"] * 1000))
    assert words.most_common(found) == ("good", 600)
    first, second, *_ = words.next_steps(found)
    assert "not shown to be better than always answering good" in first
    assert "it ranks" not in first
    assert "bad: given to no test picture" in second


def test_a_model_that_ranks_well_but_says_always_the_same_is_told_both() -> None:
    truth = ["good"] * 600 + ["bad"] * 400
    logits = np.array([[-2.0]] * 600 + [[-1.0]] * 400)
    first, *_ = words.next_steps(findings(evaluation(logits, truth, ["h"] * 1000)))
    assert "it ranks defects above good parts, though, with an area of 1.000" in first


def test_sure_errors_ask_for_a_look_at_their_labels() -> None:
    assert "3 test pictures are wrong with a probability of 0.9" in steps(
        findings(thousand(3, logit=4))
    )
    assert "check their labels" not in steps(findings(thousand(3, logit=1)))


def test_errors_in_one_group_ask_for_a_look_at_it() -> None:
    assert "first g0 (10 of 10 wrong)" in steps(findings(thousand(10)))


def test_a_leak_comes_first() -> None:
    found = findings(thousand(10, logit=4))
    again = row("x", group="g0", part=Part.TRAIN)
    leaking = dataclasses.replace(found, split=check_split([*found.test.rows, again]))
    assert words.next_steps(leaking)[0].startswith("Make a new split")
    assert any("more than one part" in line for line in words.limits(leaking))


def test_pictures_without_groups_ask_whether_some_belong_together() -> None:
    test = evaluation(np.array([[-1.0], [1.0]] * 300), ["good", "bad"] * 300)
    found = dataclasses.replace(findings(test), split=check_split(test.rows))
    assert "--group-pattern" in steps(found)


def test_few_defects_ask_for_more_of_them() -> None:
    truth = ["good"] * 400 + ["bad"] * 20
    logits = np.array([[-1.0]] * 400 + [[1.0]] * 15 + [[-1.0]] * 5)
    found = findings(evaluation(logits, truth, [f"g{number // 4}" for number in range(420)]))
    assert "Collect more defective pictures" in steps(found)
    assert "Collect more good pictures" not in steps(found)
    assert "bad: only 20 test pictures." in words.limits(found)


def test_a_last_epoch_that_is_the_best_asks_for_more_epochs() -> None:
    history = (epoch(1, 0.5), epoch(2, 0.4))
    found = findings(thousand(), history)
    planned = dataclasses.replace(found, record=record(TWO, epochs=2))
    assert "--epochs 4" in steps(planned)
    assert "--epochs" not in steps(dataclasses.replace(found, record=record(TWO, epochs=3)))


def test_a_train_part_far_ahead_asks_for_more_pictures() -> None:
    found = findings(thousand(), (epoch(1, 0.5, accuracy=0.8, trained=0.99), epoch(2, 0.6)))
    assert "19 points more accurate" in steps(found)


def test_the_kept_epoch_follows_what_was_monitored() -> None:
    history = (epoch(1, 0.3, accuracy=0.7), epoch(2, 0.5, accuracy=0.8))
    assert best_row(history, Monitor.LOSS).epoch == 1
    assert best_row(history, Monitor.ACCURACY).epoch == 2
    assert ended_while_improving(history, Monitor.ACCURACY, 2)
    assert not ended_while_improving(history, Monitor.LOSS, 2)
    assert overfit(history, Monitor.LOSS) == pytest.approx(0.2)


def test_confusions_are_told_with_their_counts() -> None:
    assert words.confusions(findings(thousand(3))) == [
        "2 of 500 good are called bad",
        "1 of 500 bad are called good",
    ]


def test_too_sure_and_not_sure_enough_are_told_apart() -> None:
    assert "too sure of itself" in words.calibration_sentence(findings(thousand(300, logit=5)))
    assert "not sure enough" in words.calibration_sentence(findings(thousand(0, logit=0.5)))


def test_certainty_that_has_nothing_to_do_with_being_right_is_told() -> None:
    signs = np.array([1, -1] * 500)[:, np.newaxis]
    truth = ["bad", "good"] * 250 + ["good", "bad"] * 250  # the second half is all wrong
    logits = signs * np.repeat([0.1, 0.2], 500)[:, np.newaxis]
    found = findings(evaluation(logits, truth, [f"g{number // 10}" for number in range(1000)]))
    assert "its probabilities say little" in words.calibration_sentence(found)


def test_look_alikes_are_a_limit_only_while_nobody_looked_for_them() -> None:
    found = findings(thousand())
    assert any("look alike" in line for line in words.limits(found))
    searched = check_split(found.test.rows, NearDuplicates(0, ()))
    assert not any(
        "look alike" in line for line in words.limits(dataclasses.replace(found, split=searched))
    )


def test_settings_hold_no_places_of_this_machine() -> None:
    found = dataclasses.replace(
        findings(thousand()), record=record(TWO, epochs=2, out="/home/me/run", cache=None)
    )
    assert words.settings(found) == {"epochs": 2}


def test_random_weights_that_were_kept_are_no_success() -> None:
    start = untrained_row("training", Scores(0.3, 0.7, 0.6))
    history = (start, epoch(1, 0.5), epoch(2, 0.4))
    assert learned_nothing(history, Monitor.LOSS)
    assert not learned_nothing((start, epoch(1, 0.2)), Monitor.LOSS)
    assert best_row(history, Monitor.LOSS) is start
    assert overfit(history, Monitor.LOSS) == 0
    assert not ended_while_improving(history, Monitor.LOSS, 2)
    assert words.next_steps(findings(thousand(), history))[0].startswith("It has learned nothing")


@given(st.integers(1, 200), st.floats(0, 1))
def test_as_many_pictures_as_are_asked_for_are_enough(trials: int, value: float) -> None:
    needed = words._needed(value, trials)
    interval = exact_interval(round(value * needed), needed)
    assert interval.high - interval.low <= 0.1
    assert needed == trials or needed < 500


def test_without_an_error_few_pictures_are_enough() -> None:
    assert words._needed(1.0, 6) == 36
