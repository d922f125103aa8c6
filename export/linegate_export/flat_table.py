"""Writing a FlatBuffer without its generated classes: tables as plain values by field number."""

import dataclasses
from collections.abc import Mapping, Sequence

import flatbuffers


@dataclasses.dataclass(frozen=True)
class Byte:
    """A number of one byte, such as an enum or the type of a union."""

    value: int


Value = str | Byte | Sequence[float] | Sequence["Table"] | Mapping[int, "Value"]
Table = Mapping[int, Value]
"""Values by the number of their field in the schema; what is left out has its default."""


def write_table(root: Table, identifier: bytes) -> bytes:
    """Return a FlatBuffer whose root is a table.

    Args:
        root: numbers are float32 vectors.
        identifier: four bytes that tell what the file is.
    """
    builder = flatbuffers.Builder()
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: Table) -> int:
    # What a table points to must lie before it.
    places = {
        number: _place(builder, value)
        for number, value in fields.items()
        if not isinstance(value, Byte)
    }
    builder.StartObject(max(fields, default=-1) + 1)
    for number, value in fields.items():
        if isinstance(value, Byte):
            builder.PrependUint8Slot(number, value.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, places[number], 0)
    return int(builder.EndObject())


def _place(builder: flatbuffers.Builder, value: Value) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    if isinstance(value, Byte):
        raise TypeError(f"expected what lies outside of its table, got {value}")
    items = [_table(builder, one) if isinstance(one, Mapping) else one for one in value]
    builder.StartVector(4, len(items), 4)
    for one in reversed(items):
        if isinstance(one, float):
            builder.PrependFloat32(one)
        else:
            builder.PrependUOffsetTRelative(one)
    return int(builder.EndVector())
