"""A disk whose power is cut: an ext4 file system in a file that is copied at that moment.

What the system has not sent to the disk yet is not in the copy, as after a real cut. Whoever
writes must be stopped while the copy is made, for it takes some milliseconds.
"""

import contextlib
import dataclasses
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

_BYTES = 48 << 20


@dataclasses.dataclass(frozen=True)
class CutDisk:
    """A mounted disk, or the copy of one.

    Attributes:
        image: the file that is the disk.
        folder: where it is mounted, or can be.
    """

    image: Path
    folder: Path

    @classmethod
    @contextlib.contextmanager
    def make(cls, folder: Path) -> Iterator[Self]:
        """Make and mount an empty one; the test is skipped where that is not allowed."""
        disk = cls(folder / "disk.ext4", folder / "disk")
        with disk.image.open("wb") as file:
            file.truncate(_BYTES)
        made = subprocess.run(["mkfs.ext4", "-q", str(disk.image)], check=False)
        if made.returncode:
            pytest.skip("a disk to cut needs mkfs.ext4: apt install e2fsprogs")
        with disk.mounted():
            yield disk

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mount it while the block runs; what its journal holds is replayed first."""
        self.folder.mkdir(exist_ok=True)
        command = ["mount", "-o", "loop", str(self.image), str(self.folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a disk to cut is mounted with loop, for which this test must be root")
        try:
            yield self.folder
        finally:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def cut(self) -> "CutDisk":
        """Return what would be left if the power were cut now."""
        copy = CutDisk(self.image.with_name("cut.ext4"), self.folder.with_name("cut"))
        shutil.copyfile(self.image, copy.image)
        return copy
