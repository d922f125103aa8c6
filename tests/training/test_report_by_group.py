from linegate_training.report.by_group import score_groups
from tests.training.evaluations import said

GROUPS = [str(number // 5) for number in range(40)]
TRUTH = ["good", "bad"] * 20


def flip(*places: int) -> list[str]:
    """Give the true labels but at these places."""
    other = {"good": "bad", "bad": "good"}
    return [other[label] if place in places else label for place, label in enumerate(TRUTH)]


def test_errors_in_one_group_are_no_chance() -> None:
    found = score_groups(said(TRUTH, flip(0, 1, 2, 3, 4), GROUPS))
    assert found.clustering is not None
    assert found.clustering.pairs == 10
    assert found.clustering.pairs_by_chance < 2
    assert found.clustering.p_value < 0.01
    assert [(one.name, one.errors, one.pictures) for one in found.worst] == [("0", 5, 5)]
    assert found.worst[0].labels == {"bad": 2, "good": 3}
    assert (found.groups, found.without_errors, found.largest) == (8, 7, 5)


def test_errors_in_all_groups_are_chance() -> None:
    found = score_groups(said(TRUTH, flip(0, 6, 12, 18, 24, 30, 36, 38), GROUPS))
    assert found.clustering is not None
    assert found.clustering.p_value > 0.5


def test_a_label_that_is_hard_in_every_group_is_no_cluster() -> None:
    groups = [f"{label}{place // 10}" for place, label in enumerate(TRUTH)]
    wrong = [place for place, label in enumerate(TRUTH) if label == "bad" and place % 8 < 4]
    found = score_groups(said(TRUTH, flip(*wrong), groups))
    assert found.clustering is not None
    assert found.clustering.p_value > 0.1


def test_groups_with_most_errors_come_first_and_the_smaller_of_equals() -> None:
    groups = ["a"] * 20 + ["b"] * 12 + ["c"] * 8
    found = score_groups(said(TRUTH, flip(0, 20, 32, 33), groups))
    assert [one.name for one in found.worst] == ["c", "b", "a"]


def test_nothing_is_said_where_nothing_can_be_tested() -> None:
    alone = [str(place) for place in range(40)]
    assert score_groups(said(TRUTH, flip(0, 1, 2), alone)).clustering is None
    assert score_groups(said(TRUTH, flip(0), GROUPS)).clustering is None
