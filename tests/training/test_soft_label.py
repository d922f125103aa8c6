import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_training.data.soft_label import format_soft_label, parse_soft_label

LABELS = ["dent", "good", "scratch"]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda s: sum(s) > 0.01))
def test_shares_come_back_as_they_were_written(raw: list[float]) -> None:
    shares = {name: share / sum(raw) for name, share in zip(LABELS, raw, strict=True)}
    likeliest = max(shares, key=lambda name: shares[name])
    again = parse_soft_label(format_soft_label(shares), likeliest, LABELS)
    assert again == pytest.approx(shares)
    assert sum(again.values()) == pytest.approx(1.0)


@given(st.floats(0.5, 1))
def test_one_number_is_the_share_of_the_own_label(share: float) -> None:
    shares = parse_soft_label(repr(share), "bad", ["bad", "good"])
    assert shares == pytest.approx({"bad": share, "good": 1 - share})


def test_thirds_may_be_rounded() -> None:
    assert parse_soft_label("good=0.333;dent=0.667", "dent", LABELS)["dent"] == pytest.approx(0.667)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5", "only with two classes and there are 3"),
        ("good=0.5;dent=0.6", r"sum to 1, got .* \(sum 1.1\)"),
        ("good=0.5;hole=0.5", "expected labels among dent, good, scratch, got hole"),
        ("good=1.5;dent=-0.5", "from 0 to 1"),
        ("good=nan;dent=0.5", "from 0 to 1"),
        ("good=half;dent=0.5", "a number from 0 to 1, got 'half'"),
        ("good=0.5;good=0.5", "each name once"),
        ("good=0.05;dent=0.95", "largest share is that of the row's label good, .* says dent"),
        ("good=1;", "each name once"),
    ],
)
def test_what_is_no_soft_label_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_soft_label(text, "good", LABELS)
