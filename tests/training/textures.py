"""Generated photographs that look alike: one fixture, and on it a texture of its own."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from linegate_bundle.preprocess import UInt8Array

SIDE = 120

Float32Array = npt.NDArray[np.float32]


def texture(rng: np.random.Generator, blur: float = 3.0) -> Float32Array:
    """Return smooth noise of mean 0 and deviation 1, shape ``(SIDE, SIDE)``."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), blur)
    result: Float32Array = (noise - noise.mean()) / noise.std()
    return result


def part(rng: np.random.Generator, own: float = 12.0) -> UInt8Array:
    """Draw a part, grey: the fixture that all share, and a texture of so many grey levels."""
    picture = np.full((SIDE, SIDE), 90.0, np.float32)
    cv2.rectangle(picture, (12, 20), (108, 100), 170.0, cv2.FILLED)
    cv2.circle(picture, (40, 60), 15, 30.0, cv2.FILLED)
    return again(picture + own * texture(rng), rng)


def again(picture: npt.NDArray[np.generic], rng: np.random.Generator) -> UInt8Array:
    """Photograph something again: the same with another noise of the sensor."""
    noisy = picture.astype(np.float32) + rng.normal(0, 2, picture.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def write(path: Path, picture: UInt8Array) -> Path:
    """Write a picture, and the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)
    return path
