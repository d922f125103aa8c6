"""The files that an export leaves: where they lie, and writing them all or none."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from linegate_bundle.atomic import write_atomic
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
    """

    bundle: Path
    report: Path
    accuracy: Path
    figure: Path | None

    @classmethod
    def plan(cls, folder: Path, name: str, version: str, figures: Path | None) -> "Outputs":
        """Say where the files of one export will lie."""
        stem = f"{name}-{version}"
        return cls(
            bundle=folder / f"{stem}{SUFFIX}",
            report=folder / f"{stem}.report.html",
            accuracy=folder / f"{stem}.accuracy.json",
            figure=None if figures is None else figures / f"{stem}.png",
        )

    @property
    def paths(self) -> list[Path]:
        """All files."""
        figure = [] if self.figure is None else [self.figure]
        return [self.bundle, self.report, self.accuracy, *figure]

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
        with self._all_or_none() as written:
            digest = write_bundle(self.bundle, manifest, members)
            written.append(self.bundle)
            _write_all(sidecars, written)
        return digest

    def write_failed(self, sidecars: dict[Path, bytes]) -> None:
        """Write what explains a failed gate, and take away a bundle that it would contradict.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        with self._all_or_none() as written:
            self.bundle.unlink(missing_ok=True)
            _write_all(sidecars, written)

    @contextlib.contextmanager
    def _all_or_none(self) -> Iterator[list[Path]]:
        written: list[Path] = []
        try:
            yield written
        except OSError as error:
            for path in written:
                path.unlink(missing_ok=True)
            raise OutputError(
                f"{self.bundle.parent}: cannot write the export: {error.strerror}"
            ) from error


def _write_all(files: dict[Path, bytes], written: list[Path]) -> None:
    for path, content in files.items():
        write_atomic(path, content)
        written.append(path)
