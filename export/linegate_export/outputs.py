"""The files that an export leaves: where they lie, and writing them all or none."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from linegate_bundle.atomic import atomic_file, sync_file
from linegate_bundle.bundle import SUFFIX, staged_bundle
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
        interop: the TFLite file for other programs; one that nobody asked for is taken away,
            for it would be of another export.
    """

    bundle: Path
    report: Path
    accuracy: Path
    figure: Path | None
    interop: Path

    @classmethod
    def plan(cls, folder: Path, name: str, version: str, figures: Path | None) -> "Outputs":
        """Say where the files of one export will lie."""
        stem = f"{name}-{version}"
        return cls(
            bundle=folder / f"{stem}{SUFFIX}",
            report=folder / f"{stem}.report.html",
            accuracy=folder / f"{stem}.accuracy.json",
            figure=None if figures is None else figures / f"{stem}.png",
            interop=folder / f"{stem}.interop.tflite",
        )

    @property
    def paths(self) -> list[Path]:
        """All files."""
        figures = [] if self.figure is None else [self.figure]
        return [self.bundle, self.report, self.accuracy, self.interop, *figures]

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
        with self._explained(), staged_bundle(self.bundle, manifest, members) as sha256:
            # All is on disk before anything takes its name, the bundle as the last.
            with _staged(sidecars):
                self._take_away({*sidecars, self.bundle})
            return sha256

    def write_failed(self, sidecars: dict[Path, bytes]) -> None:
        """Write what explains a failed gate, and take away a bundle that it would contradict.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        with self._explained(), _staged(sidecars):
            self._take_away(set(sidecars))

    def _take_away(self, kept: set[Path]) -> None:
        for path in set(self.paths) - kept:
            path.unlink(missing_ok=True)

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
    """Write files to disk that take their names only if the block ends well."""
    with contextlib.ExitStack() as stack:
        for path, content in files.items():
            file = stack.enter_context(atomic_file(path))
            file.write(content)
            sync_file(file)
        yield
