"""One picture of a camera, with its number and time."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # numpy and OpenCV load while the camera is being opened, not before
    from linegate_bundle.preprocess import UInt8Array


class Frame(msgspec.Struct, frozen=True):
    """A frame as it comes from the capture.

    Attributes:
        number: counts the frames that the camera gave since the start, from 1; it
            rises from frame to frame and skips those that nobody took.
        monotonic_ns: ``time.monotonic_ns()`` when the frame had come in from the camera; its
            age counts from then.
        taken_ns: when it was taken, on a clock whose zero means nothing. Of a camera that is
            ``monotonic_ns``; of a recording it is the time of recording, so that parts move
            as they did.
        pixels: BGR uint8 of shape ``(height, width, 3)``, read-only. They lie in
            memory shared with the camera's process and stay as they are until the
            next frame is asked for; copy what must live longer.
    """

    number: int
    monotonic_ns: int
    taken_ns: int
    pixels: "UInt8Array"
