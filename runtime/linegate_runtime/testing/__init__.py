"""Simulators for tests and demonstrations: a camera on the network, a belt with parts."""

from linegate_runtime.testing.belt import Belt, Direction
from linegate_runtime.testing.mjpeg_server import MjpegServer

__all__ = ["Belt", "Direction", "MjpegServer"]
