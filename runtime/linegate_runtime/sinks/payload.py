"""What a message says of a part: a JSON object, or a user's own text.

A template is a text with fields in braces, as of ``str.format``: ``{verdict}``,
``{defect_probability:.3f}``; ``{{`` is a brace. Fields have no attributes, indexes or
conversions, so that a configuration cannot reach into the program. Values are written as they
are, nothing is escaped: who builds JSON or SQL by a template must not trust labels with quotes.
"""

import string
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from linegate_runtime.part_row import PartRow, Recorded

FIELDS: tuple[str, ...] = (*PartRow.__struct_fields__, "record", "record_hash")
"""Names of what can be told of a part, in their order: the row's fields, then its place in the
record (``Recorded.number``) and its hash."""

Writer = Callable[[Recorded], bytes]
"""Turns a part into a message."""


def values_of(part: Recorded) -> dict[str, Any]:
    """Return all that can be told of a part, by the names of :data:`FIELDS` in their order."""
    values = msgspec.structs.asdict(part.row)
    return values | {"record": part.number, "record_hash": part.hash}


def text_of(value: Any) -> str:
    """Return a value as text: None is empty, an enum its value, a mapping and a boolean JSON."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def json_message(part: Recorded) -> bytes:
    """Return a part as one JSON object, UTF-8, with all of :data:`FIELDS`."""
    return msgspec.json.encode(values_of(part))


class Template:
    """A user's own text with fields.

    Args:
        text: see the module's docstring.

    Raises:
        ValueError: it is no template, or names a field that does not exist; the message says
            what was expected and what came.
    """

    def __init__(self, text: str) -> None:
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(
                f"expected fields such as {{verdict}}, and {{{{ for a brace, got: {error}"
            ) from None
        self._pieces = tuple(_piece(*one) for one in parsed)

    def render(self, part: Recorded) -> bytes:
        """Return the text for a part, UTF-8; fields without a value are empty."""
        values = values_of(part)
        pieces = [
            before + ("" if name is None else _formatted(values[name], spec))
            for before, name, spec in self._pieces
        ]
        return "".join(pieces).encode()


def template_problems(text: str | None) -> Mapping[str, str]:
    """Return what is wrong with an option ``payload``, for ``SinkOptions.problems``."""
    try:
        writer(text)
    except ValueError as error:
        return {"payload": str(error)}
    return {}


def writer(template: str | None) -> Writer:
    """Return what turns parts into messages; None gives the JSON object.

    Raises:
        ValueError: see :class:`Template`.
    """
    return json_message if template is None else Template(template).render


_EXAMPLES: Mapping[type, Any] = {int: 2**62, float: 0.5}
"""What a format is tried with; an int that is too large for the code of a character."""


def _piece(
    before: str, name: str | None, spec: str | None, conversion: str | None
) -> tuple[str, str | None, str]:
    """Check a text and the field after it."""
    if name is None:
        return before, None, ""
    if name not in FIELDS:
        raise ValueError(f"expected one of the fields {', '.join(FIELDS)}, got {{{name}}}")
    if conversion or "{" in (spec or ""):
        raise ValueError(f"expected {{{name}}} or {{{name}:FORMAT}}, got more than that")
    try:
        _formatted(_example(name), spec or "")
    except ValueError as error:
        raise ValueError(
            f"expected a format that fits the field {name}, got {spec!r}: {error}"
        ) from None
    except OverflowError:
        raise ValueError(f"expected a format for numbers at {name}, got {spec!r}") from None
    return before, name, spec or ""


def _example(name: str) -> Any:
    if name == "record":
        return _EXAMPLES[int]
    hints = {field.name: field.type for field in msgspec.structs.fields(PartRow)}
    for type_, example in _EXAMPLES.items():
        if hints.get(name) in {type_, type_ | None}:
            return example
    return ""


def _formatted(value: Any, spec: str) -> str:
    if type(value) in _EXAMPLES:
        return format(value, spec)
    return "" if value is None else format(text_of(value), spec)
