"""Simulators for tests and demonstrations: a camera on the network, a belt with parts."""

from linegate_runtime.testing.belt import Belt, Direction
from linegate_runtime.testing.mjpeg_server import MjpegServer, StreamFault
from linegate_runtime.testing.uneven_belt import UnevenBelt

__all__ = ["Belt", "Direction", "MjpegServer", "StreamFault", "UnevenBelt"]
