"""The files that an export leaves: where they lie, and writing them all or none."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from linegate_bundle.atomic import atomic_file
from linegate_bundle.bundle import SUFFIX, write_bundle
from linegate_bundle.errors import ConfigError, OutputError
from linegate_bundle.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Paths of an export's files.

    Attributes:
        bundle: the bundle.
        report: the report for people.
        accuracy: the figures for machines.
        figure: the key figure as PNG, or None if nobody asked for it.
        interop: the TFLite file for other programs, or None if nobody asked for it.
    """

    bundle: Path
    report: Path
    accuracy: Path
    figure: Path | None
    interop: Path | None

    @classmethod
    def plan(
        cls, folder: Path, name: str, version: str, figures: Path | None, *, interop: bool = False
    ) -> "Outputs":
        """Say where the files of one export will lie."""
        stem = f"{name}-{version}"
        return cls(
            bundle=folder / f"{stem}{SUFFIX}",
            report=folder / f"{stem}.report.html",
            accuracy=folder / f"{stem}.accuracy.json",
            figure=None if figures is None else figures / f"{stem}.png",
            interop=folder / f"{stem}.interop.tflite" if interop else None,
        )

    @property
    def paths(self) -> list[Path]:
        """All files."""
        asked_for = [path for path in (self.figure, self.interop) if path is not None]
        return [self.bundle, self.report, self.accuracy, *asked_for]

    def refuse_other_things(self) -> None:
        """Raise :class:`ConfigError` if something that is no file has the name of one."""
        for path in self.paths:
            if path.exists() and not path.is_file():
                raise ConfigError(f"{path}: expected a file or nothing; remove it, or rename it")

    def refuse_existing(self) -> None:
        """Raise :class:`ConfigError` if any file is there already."""
        existing = [str(path) for path in self.paths if path.exists()]
        if existing:
            raise ConfigError(
                f"there already: {', '.join(existing)}; give another --version, another --out, "
                "or --force to replace them"
            )

    def make_folders(self) -> None:
        """Make the folders, so that a wrong one is told before the work, not after it.

        Raises:
            OutputError: it cannot be made or written to.
        """
        for folder in {path.parent for path in self.paths}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
            if not os.access(folder, os.W_OK):
                raise OutputError(f"{folder}: cannot be written to; choose another --out")

    def write_passed(
        self,
        manifest: Manifest,
        members: dict[str, bytes],
        sidecars: dict[Path, bytes],
    ) -> str:
        """Write bundle and sidecars and return the bundle's SHA-256; on failure leave none.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        with self._explained(), _staged(sidecars):
            return write_bundle(self.bundle, manifest, members)

    def write_failed(self, sidecars: dict[Path, bytes]) -> None:
        """Write what explains a failed gate, and take away a bundle that it would contradict.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        with self._explained(), _staged(sidecars):
            self.bundle.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.bundle.parent}: cannot write the export: {error.strerror}"
            ) from error


@contextlib.contextmanager
def _staged(files: dict[Path, bytes]) -> Iterator[None]:
    """Write files beside their places; they take their names only if the block ends well."""
    with contextlib.ExitStack() as stack:
        for path, content in files.items():
            stack.enter_context(atomic_file(path)).write(content)
        yield
