import pytest

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Role
from linegate_training.data.roles import assign_roles


@pytest.mark.parametrize("good", ["functional", "OK", "No-Defect", "no_defects", "Pass", "i.O."])
def test_usual_names_are_taken_for_good(good: str) -> None:
    labels = assign_roles(["crack", good], good=())
    assert [(label.name, label.role) for label in labels] == [
        (good, Role.GOOD),
        ("crack", Role.DEFECT),
    ]


def test_given_classes_are_good_and_come_first() -> None:
    labels = assign_roles(["a", "b", "c", "ok"], good=("c", "b"))
    assert [label.name for label in labels] == ["b", "c", "a", "ok"]
    assert [label.role for label in labels] == [Role.GOOD] * 2 + [Role.DEFECT] * 2


@pytest.mark.parametrize("names", [["cat", "dog"], ["ok", "good"]])
def test_unclear_roles_ask_for_good(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="--good NAME"):
        assign_roles(names, good=())


def test_good_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected good classes among cat, dog, got bird"):
        assign_roles(["cat", "dog"], good=("bird",))


def test_all_classes_good_is_refused() -> None:
    with pytest.raises(ConfigError, match="all of them are"):
        assign_roles(["cat", "dog"], good=("cat", "dog"))
