"""What messages say of a part."""

import msgspec
import pytest

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.sinks.payload import FIELDS, Template, json_message, template_problems, writer
from tests.runtime.sink_support import recorded


def test_the_json_message_is_the_row_with_its_place_in_the_record() -> None:
    part = recorded(7)
    message = json_message(part)
    assert msgspec.json.decode(message, type=PartRow) == part.row
    rest = msgspec.json.decode(message)
    assert tuple(rest) == FIELDS
    assert (rest["record"], rest["record_hash"]) == (7, part.hash)
    assert writer(None)(part) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b""),
        ("no field", b"no field"),
        ("{uuid}", recorded(7).row.uuid.encode()),
        ("{part:04d}/{record}", b"0007/7"),
        ("{verdict}, {reason}, {policy}", b"reject, vote, bundle"),
        ("{verdict:>8}|", b"  reject|"),
        ("{defect_probability:.1%}", b"87.5%"),
        ("{frame_age_ms}", b"21.5"),
        ("{clock_synced}", b"true"),
        ("<{picture}>", b"<>"),
        ("{probabilities}", b'{"functional":0.125,"bright":0.875}'),
        ('{{"verdict": "{verdict}"}}', b'{"verdict": "reject"}'),
        ("{label}: \u00fc", "bright: \u00fc".encode()),
    ],
)
def test_templates_are_filled(text: str, expected: bytes) -> None:
    assert template_problems(text) == {}
    assert Template(text).render(recorded(7)) == expected


def test_every_field_has_a_text_and_what_is_missing_is_empty() -> None:
    nothing = dict.fromkeys(
        ["frame_number", "frame_age_ms", "wait_ms", "model_ms", "label", "defect_probability"]
    )
    part = recorded(1, verdict=Verdict.UNSURE, clock_synced=None, probabilities={}, **nothing)
    for name in FIELDS:
        text = Template(f"{{{name}}}").render(part).decode()
        assert (text == "") == (name in {*nothing, "clock_synced", "picture", "region"})
    assert Template("{defect_probability:.3f}").render(part) == b""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{verdikt}", "expected one of the fields uuid, run, "),
        ("{}", "expected one of the fields"),
        ("{0}", "expected one of the fields"),
        ("{verdict.name}", "expected one of the fields"),
        ("{verdict.__class__}", "expected one of the fields"),
        ("{probabilities[bright]}", "expected one of the fields"),
        ("{verdict!r}", "got more than that"),
        ("{part:{frames_voted}}", "got more than that"),
        ("{verdict:d}", "expected a format that fits the field verdict, got 'd'"),
        ("{defect_probability:d}", "expected a format that fits"),
        ("{part:c}", "expected a format for numbers at part, got 'c'"),
        ("{verdict", "expected fields such as {verdict}, and {{ for a brace, got"),
        ("a } b", "expected fields such as {verdict}"),
    ],
)
def test_what_is_no_template_is_named(text: str, said: str) -> None:
    assert said in template_problems(text)["payload"]
    with pytest.raises(ValueError, match=r"expected .*, got"):
        writer(text)
