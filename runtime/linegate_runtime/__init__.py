"""The device side of linegate: frames in, verdicts out."""

__version__ = "0.1.0"
