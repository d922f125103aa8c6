"""Pictures of a folder, one after the other."""

import time
from pathlib import Path

from linegate_bundle.errors import ConfigError
from linegate_bundle.images import find_images, read_image
from linegate_runtime.sources.base import Captured, Source, SourceOptions, check_settings


class FolderSource(Source):
    """Gives every image of a folder once, sorted by path, as fast as they are taken."""

    def __init__(self, options: SourceOptions) -> None:
        check_settings(type(self), options)
        folder = Path(options.address)
        if not folder.is_dir():
            raise ConfigError(f"expected a folder of images, {folder} is none")
        images = find_images(folder)
        if not images:
            raise ConfigError(f"expected a folder of images, {folder} holds none")
        self._images = iter(images)

    @classmethod
    def is_live(cls, address: str) -> bool:
        """See :meth:`Source.is_live`."""
        del address
        return False

    def read(self) -> Captured | None:
        """See :meth:`Source.read`."""
        path = next(self._images, None)
        if path is None:
            return None
        return Captured(pixels=read_image(path), monotonic_ns=time.monotonic_ns())

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._images = iter(())
