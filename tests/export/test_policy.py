"""Choosing thresholds: the limits hold on the pictures that they were chosen on."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_bundle.errors import ConfigError, GateError
from linegate_bundle.manifest import (
    LOGITS,
    DecisionPolicy,
    Label,
    ModelFormat,
    Precision,
    Risk,
    Role,
)
from linegate_bundle.run_folder import Part, SplitRow
from linegate_export.certificate import certify
from linegate_export.entry import describe
from linegate_export.policy import (
    PolicyTargets,
    allowed_count,
    choose_policy,
    count_verdicts,
)
from linegate_export.proof import p_value, provable_errors
from linegate_export.trials import one_of_each_group

FINE = Label(name="fine", role=Role.GOOD)
DEFECTIVE = Label(name="defective", role=Role.DEFECT)
SCRATCH = Label(name="scratch", role=Role.DEFECT)

ENTRY = describe(
    ModelFormat.TFLITE, Precision.INT8, shape=(8, 8, 3), outputs={LOGITS: (1,)}, quantizations={}
)

inner = st.floats(1e-9, 1 - 1e-9)
coarse = st.sampled_from([1e-12, 0.25, 0.5, np.nextafter(0.5, 1), 0.75, 1 - 1e-12])
pictures = st.lists(st.tuples(inner | coarse, st.booleans()), min_size=2, max_size=60).filter(
    lambda pairs: len({truth for _, truth in pairs}) == 2
)
rates = st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.9])


def arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    values, truth = zip(*pairs, strict=True)
    return np.array(values, np.float64), np.array(truth, np.bool_)


def split(truth: Iterable[Label], a_group: int = 1) -> list[SplitRow]:
    return [
        SplitRow(
            str(number), label.name, str(number // a_group), Part.CALIBRATION, f"{number:064x}"
        )
        for number, label in enumerate(truth)
    ]


def choose(pairs: list[tuple[float, bool]], escape: float, false_reject: float) -> DecisionPolicy:
    values, truth = arrays(pairs)
    rows = split(DEFECTIVE if defective else FINE for defective in truth)
    return choose_policy(values, rows, (FINE, DEFECTIVE), PolicyTargets(escape, false_reject))


def allowed_errors(pictures: int, rate: float) -> int:
    provable = provable_errors(pictures, rate, 0.95)
    return allowed_count(rate, pictures) if provable is None else provable


@given(pictures, rates, rates)
def test_both_rates_hold_and_the_thresholds_are_in_order(
    pairs: list[tuple[float, bool]], escape: float, false_reject: float
) -> None:
    policy = choose(pairs, escape, false_reject)
    counts = count_verdicts(*arrays(pairs), policy)
    assert counts.escapes <= Fraction(str(escape)) * counts.defects
    assert counts.false_rejects <= Fraction(str(false_reject)) * counts.goods
    assert 0 <= policy.accept_at_most < policy.reject_at_least <= 1


@given(pictures, rates, rates)
def test_thresholds_lie_in_the_gap_or_else_no_picture_is_unsure_without_need(
    pairs: list[tuple[float, bool]], escape: float, false_reject: float
) -> None:
    policy = choose(pairs, escape, false_reject)
    values, truth = arrays(pairs)
    defects, goods = np.sort(values[truth]), np.sort(values[~truth])[::-1]
    must_not_accept = defects[allowed_errors(len(defects), escape)]
    must_not_reject = goods[allowed_errors(len(goods), false_reject)]
    if must_not_reject < must_not_accept:
        assert must_not_reject <= policy.accept_at_most
        assert policy.reject_at_least <= must_not_accept
    else:
        unsure = values[(values > policy.accept_at_most) & (values < policy.reject_at_least)]
        assert unsure.min() == must_not_accept
        assert unsure.max() == must_not_reject


def test_separable_pictures_get_the_middle_third_of_the_gap_as_unsure() -> None:
    policy = choose([(0.1, False), (0.2, False), (0.8, True), (0.9, True)], 0.0, 0.0)
    assert policy.accept_at_most == pytest.approx(0.4)
    assert policy.reject_at_least == pytest.approx(0.6)


def test_overlapping_pictures_lie_between_the_thresholds() -> None:
    pairs = [(0.1, False), (0.6, False), (0.7, False), (0.3, True), (0.5, True), (0.9, True)]
    policy = choose(pairs, 0.0, 0.0)
    assert policy.accept_at_most == pytest.approx(0.2)
    assert policy.reject_at_least == pytest.approx(0.8)


def test_an_allowed_escape_lets_more_be_accepted() -> None:
    pairs = [(0.1, False), (0.6, False), (0.7, False), (0.3, True), (0.5, True), (0.9, True)]
    assert choose(pairs, 0.4, 0.0).accept_at_most == pytest.approx(0.4)


@pytest.mark.parametrize(("probability", "defective"), [(0.0, True), (1.0, False)])
def test_a_model_that_is_certain_of_the_wrong_answer_has_no_thresholds(
    probability: float, defective: bool
) -> None:
    pairs = [(probability, defective), (0.5, not defective)]
    with pytest.raises(GateError, match="exactly"):
        choose(pairs, 0.0, 0.0)


def test_a_rate_is_taken_as_written_not_as_floating_point_has_it() -> None:
    assert allowed_count(0.29, 100) == 29
    assert allowed_count(0.07, 100) == 7


def test_few_enough_errors_to_prove_the_rate_are_allowed_and_a_share_where_none_do() -> None:
    # 4 of 200 prove 5 % with 95 %; 10 would be 5 % of them, and prove nothing.
    assert provable_errors(200, 0.05, 0.95) == 4
    assert p_value(4, 200, 0.05) <= 0.05 < p_value(5, 200, 0.05)
    defects = [(place / 1000, True) for place in range(1, 201)]
    assert choose([*defects, (0.9, False)], 0.05, 0.0).accept_at_most == pytest.approx(0.0045)
    assert provable_errors(58, 0.05, 0.95) is None
    assert choose([*defects[:58], (0.9, False)], 0.05, 0.0).accept_at_most == pytest.approx(0.0025)


def test_of_each_group_one_picture_counts_whatever_its_order() -> None:
    rows = split([DEFECTIVE] * 7, a_group=3)
    among = np.array([True, True, True, False, True, True, True])
    assert one_of_each_group(rows, among).tolist() == [0, 4, 6]
    assert [rows[::-1][place].path for place in one_of_each_group(rows[::-1], among)] == [
        "6", "4", "0",
    ]  # fmt: skip


def test_many_pictures_of_few_groups_prove_nothing() -> None:
    values = np.concatenate([np.linspace(0.01, 0.4, 200), np.linspace(0.6, 0.99, 200)])
    rows = split([FINE] * 200 + [DEFECTIVE] * 200, a_group=4)
    targets = PolicyTargets(0.05, 0.05)
    policy = choose_policy(values, rows, (FINE, DEFECTIVE), targets)
    proofs = certify(values, rows, (FINE, DEFECTIVE), policy, targets, entry=ENTRY)
    assert proofs.certificate is None
    told = {(one.risk, one.pictures, one.groups, one.needed) for one in proofs.unproven}
    assert told == {(Risk.ESCAPE, 200, 50, 59), (Risk.FALSE_REJECT, 200, 50, 59)}


def test_every_class_can_be_proven_by_itself() -> None:
    values = np.concatenate([np.linspace(0.01, 0.4, 200), np.linspace(0.6, 0.99, 800),
                             np.linspace(0.3, 0.99, 100)])  # fmt: skip
    rows = split([FINE] * 200 + [DEFECTIVE] * 800 + [SCRATCH] * 100)
    names = [FINE, DEFECTIVE, SCRATCH]
    one, each = (
        choose_policy(values, rows, names, PolicyTargets(0.05, 0.05, every_class=every_class))
        for every_class in (False, True)
    )
    together = certify(values, rows, names, one, PolicyTargets(0.05, 0.05), entry=ENTRY)
    alone = certify(values, rows, names, each, PolicyTargets(0.05, 0.05), entry=ENTRY)
    assert each.accept_at_most < one.accept_at_most
    assert [unproven.label for unproven in together.unproven] == ["scratch"]
    assert alone.unproven == ()
    assert alone.certificate is not None
    assert [(one.risk, one.label) for one in alone.certificate.guarantees] == [
        (Risk.ESCAPE, None),
        (Risk.ESCAPE, "defective"),
        (Risk.ESCAPE, "scratch"),
        (Risk.FALSE_REJECT, None),
    ]
    assert (alone.certificate.pictures, alone.certificate.groups) == (1100, 1100)
    assert alone.certificate.model == "model.int8.tflite"


def test_too_few_pictures_give_no_certificate_and_say_how_many_are_needed() -> None:
    values, rows = np.array([0.1, 0.9] * 20), split([FINE, DEFECTIVE] * 20)
    targets = PolicyTargets(0.01, 0.01)
    policy = choose_policy(values, rows, [FINE, DEFECTIVE], targets)
    proofs = certify(values, rows, [FINE, DEFECTIVE, SCRATCH], policy, targets, entry=ENTRY)
    assert proofs.certificate is None
    assert {(one.risk, one.pictures, one.needed) for one in proofs.unproven} == {
        (Risk.ESCAPE, 20, 299),
        (Risk.ESCAPE, 0, 299),
        (Risk.FALSE_REJECT, 20, 299),
    }


@pytest.mark.parametrize(
    ("targets", "option"),
    [
        ({"maximum_escape_rate": 1.0}, "--max-escape-rate"),
        ({"maximum_false_reject_rate": -0.1}, "--max-false-reject-rate"),
        ({"maximum_escape_rate": float("nan")}, "--max-escape-rate"),
        ({"vote_frames": 0}, "--vote-frames"),
        ({"vote_frames": 3, "vote_needed": 4}, "--vote-needed"),
        ({"vote_needed": 0}, "--vote-needed"),
        ({"confidence": 1.0}, "--confidence"),
        ({"confidence": 1e-17}, "--confidence"),
    ],
)
def test_impossible_targets_name_the_option(targets: dict[str, float], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        PolicyTargets(**targets)  # type: ignore[arg-type]
