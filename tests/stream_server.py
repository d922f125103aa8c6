"""A simulated camera in a process of its own: ``python -m tests.stream_server SECONDS``.

It prints its address, shows noise of 640x480 at 30 frames a second, and ends after so long.
"""

import sys
import time

import numpy as np

from linegate_bundle.images import encode_jpeg
from linegate_runtime.testing import MjpegServer

FPS = 30.0
_PICTURES = 40


def main(seconds: float) -> None:
    """Serve."""
    rng = np.random.default_rng(0)
    # Coded beforehand, so that the camera takes little of the processor; smooth pictures, as
    # JPEG files of noise are several times larger than a camera's.
    coarse = rng.integers(30, 220, (_PICTURES, 30, 40, 3), np.uint8)
    pictures = [encode_jpeg(one.repeat(16, 0).repeat(16, 1)) for one in coarse]
    with MjpegServer(lambda at: pictures[round(at * FPS) % _PICTURES], fps=FPS) as camera:
        print(camera.address, flush=True)  # noqa: T201 - whoever started it reads that
        time.sleep(seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]))
