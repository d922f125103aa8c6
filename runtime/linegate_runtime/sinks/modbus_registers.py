"""Verdicts as Modbus registers; the table is in :mod:`linegate_runtime.sinks.modbus`."""

from linegate_bundle.manifest import Verdict
from linegate_runtime.part_row import PartRow
from linegate_runtime.sinks.presentation import (
    REASON_CODES,
    VERDICT_CODES,
    WITHHELD,
    Shown,
)

COUNT = 13
"""Registers that linegate writes, from the first on."""

ACKNOWLEDGE = 13
"""Offset of the acknowledgement, which the controller writes."""

TOTAL = 15
"""Registers altogether."""

READY, NOT_READY = 1, 0

_WORD = 0xFFFF
_DOUBLE_WORD = 0xFFFFFFFF


def registers_of(shown: Shown) -> list[int]:
    """Return the :data:`COUNT` registers of what is to be shown, each of 16 bits."""
    verdict, reason, label, number = 0, 0, 0, 0
    if shown.part is not None:
        row, number = shown.part.row, counter_of(shown.part.number)
        verdict, reason = VERDICT_CODES[row.verdict], REASON_CODES[row.reason]
        label = _label_number(row)
        if shown.is_withheld:
            reason = WITHHELD
    if not shown.is_ready or shown.is_withheld:
        verdict = VERDICT_CODES[Verdict.REJECT]
    return [
        READY if shown.is_ready else NOT_READY,
        shown.heartbeat & _WORD,
        verdict,
        reason,
        label,
        *(word for count in shown.counts for word in words_of(count)),
        *words_of(number),
    ]


def counter_of(number: int) -> int:
    """Return a place in the record as the part counter shows it, of 32 bits."""
    return number & _DOUBLE_WORD


def words_of(value: int) -> list[int]:
    """Return 32 bits as two registers, the high word first; more bits are cut off."""
    return [value >> 16 & _WORD, value & _WORD]


def value_of(words: list[int]) -> int:
    """Return what two registers say, the high word first."""
    high, low = words
    return high << 16 | low


def _label_number(row: PartRow) -> int:
    """Return the label's place in the bundle's list, from 1; 0 without any."""
    labels = list(row.probabilities)
    return labels.index(row.label) + 1 if row.label in labels else 0
