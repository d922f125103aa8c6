"""All augmentations of a training put together."""

from typing import Final

import numpy as np

from linegate_bundle.preprocess import UInt8Array
from linegate_training.augment import operations
from linegate_training.augment.augmentation import Augmentation, only
from linegate_training.augment.views import exact_views, view

ALL_TOGETHER: Final = "all together"


class Augmenter:
    """Makes variants of images; the same seed, image and draw give the same pixels.

    Args:
        augmentation: what may be done.
        shape: ``(height, width, channels)`` of the images.
        seed: of everything that is drawn.

    Attributes:
        views: number of different exact views.
        draws: how many different variants of an image there are, if they can be counted:
            as many as exact views; None if strengths are drawn, too.

    Raises:
        ConfigError: quarter turns are asked for, but the images are not square.
    """

    def __init__(
        self, augmentation: Augmentation, shape: tuple[int, int, int], seed: int = 0
    ) -> None:
        self._augmentation = augmentation
        self._seed = seed
        self._views = exact_views(augmentation, shape)
        self.views = len(self._views)
        self.draws = None if augmentation.strengths else self.views

    def __call__(self, image: UInt8Array, index: int, draw: int) -> UInt8Array:
        """Return a variant of an image.

        Args:
            image: uint8 of shape ``(height, width, channels)``.
            index: number of the image.
            draw: number of the variant, from 0; it decides the exact view by its rest
                after a division by :attr:`views`.
        """
        image = view(image, self._views[draw % self.views])
        if self.draws is not None:
            return image
        random = np.random.default_rng([self._seed, index, draw])
        return _vary(image, self._augmentation, random)


def examples(
    images: UInt8Array, augmentation: Augmentation, seed: int = 0
) -> dict[str, UInt8Array]:
    """Show what each augmentation does, alone, and what all do together.

    Args:
        images: uint8 of shape ``(n, height, width, channels)``.
        augmentation: what may be done.
        seed: of everything that is drawn.

    Returns:
        By the operation's name, in the order of application, ``n`` images each; the
        last is :data:`ALL_TOGETHER`. Without any augmentation only that one.
    """
    shape = images.shape[1:]
    shown: dict[str, UInt8Array] = {}
    views = exact_views(augmentation, shape)
    if len(views) > 1:
        turned, mirrored = any(n % 2 for n in views), augmentation.flips
        title = " and ".join(["flips"] * mirrored + ["turns"] * turned)
        chosen = [views[1 + number % (len(views) - 1)] for number in range(len(images))]
        shown[title] = np.stack(
            [view(image, number) for image, number in zip(images, chosen, strict=True)]
        )
    for title, strength in augmentation.strengths.items():
        single = only(**{title: strength})
        shown[title] = np.stack(
            [
                _vary(image, single, np.random.default_rng([seed, number]))
                for number, image in enumerate(images)
            ]
        )
    augmenter = Augmenter(augmentation, shape, seed)
    shown[ALL_TOGETHER] = np.stack(
        [augmenter(image, number, number + 1) for number, image in enumerate(images)]
    )
    return shown


def _vary(image: UInt8Array, augmentation: Augmentation, random: np.random.Generator) -> UInt8Array:
    """Apply what has a strength; light comes last but for what the camera does to it."""
    if augmentation.moves_content:
        image = operations.move(
            image,
            random,
            shift=augmentation.shift,
            scale=augmentation.scale,
            rotation=augmentation.rotation,
        )
    if augmentation.cutout:
        image = operations.cutout(image, random, share=augmentation.cutout)
    if augmentation.blur:
        image = operations.blur(image, random, sigma=augmentation.blur)
    if augmentation.brightness or augmentation.contrast:
        image = operations.light(
            image, random, brightness=augmentation.brightness, contrast=augmentation.contrast
        )
    if augmentation.noise:
        image = operations.noise(image, random, deviation=augmentation.noise)
    if augmentation.jpeg:
        image = operations.jpeg(image, random, loss=augmentation.jpeg)
    return image
