"""Texts that spreadsheets show as they are, instead of computing them."""

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets take for the begin of a formula, or skip before one."""


def disarmed(text: str) -> str:
    """Return a text that is no formula to a spreadsheet: an apostrophe goes before what may be.

    OWASP, "CSV Injection": a label such as ``=HYPERLINK(...)`` is computed as soon as
    somebody opens the file.
    """
    return f"'{text}" if text.startswith(_STARTS) else text
