"""Types of arguments that several commands share; nothing here takes time to load."""

import argparse

from linegate_runtime.geometry import Box, Size


def positive_integer(text: str) -> int:
    """Read a whole number from 1 up."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return number


def size(text: str) -> Size:
    """Read a size such as 640x480."""
    try:
        width, height = (positive_integer(number) for number in text.lower().split("x"))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"expected WxH such as 300x300, got {text}") from None
    return Size(width, height)


def region(text: str) -> Box:
    """Read a rectangle such as 0,60,640,360."""
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected X,Y,W,H such as 0,60,640,360, got {text}"
        ) from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"expected X,Y from 0 and W,H from 1 up, got {text}")
    return Box(x, y, width, height)


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return number
