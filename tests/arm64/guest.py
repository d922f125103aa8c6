"""A device in an emulated tree: ``deploy/arm64/`` as Python functions."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from linegate_deploy.platforms import PLATFORMS

REPOSITORY = Path(__file__).parents[2]
_SCRIPTS = REPOSITORY / "deploy" / "arm64"


SUITES = {suite: PLATFORMS[f"rpi-{suite}"] for suite in ("bookworm", "trixie")}
"""Debians that are tested, by name, and what kits for them are called."""

CORES = ("a53", "a72", "a76")

IS_FULL = bool(os.environ.get("LINEGATE_ARM64_FULL"))
"""Whether what takes long is tried too: ``make arm64-full``."""

ENVIRONMENT = Path("/opt/linegate/env")
"""Where linegate is installed in the tree."""


@dataclasses.dataclass(frozen=True)
class Guest:
    """A tree with changes laid over it.

    Attributes:
        tree: made by ``tree.sh``.
        core: that it runs on, one of ``CORES``.
        upper: folder that keeps the changes.
        binds: folders of this machine that it sees, by their path in the tree.
    """

    tree: Path
    core: str
    upper: Path
    binds: tuple[tuple[Path, Path], ...] = ()

    @property
    def python(self) -> Path:
        """The Python that linegate is installed in."""
        return ENVIRONMENT / "bin" / "python"

    def seeing(self, host: Path, inside: Path) -> "Guest":
        """Return the same guest, which sees a folder or file of this machine too."""
        return dataclasses.replace(self, binds=(*self.binds, (host, inside)))

    def kept(self, inside: Path) -> Path:
        """Return where a file that was written in the tree lies on this machine."""
        return self.upper / "upper" / inside.relative_to("/")

    def command(self, *words: str | Path) -> list[str]:
        """Return the command line that runs a command in the tree."""
        return [*self._enter(), *map(str, words)]

    def run(self, *words: str | Path, timeout_s: float = 300.0, codes: Sequence[int] = (0,)) -> str:
        """Run a command in the tree and return what it prints.

        Raises:
            RuntimeError: it ended with a code that is not among ``codes``; what it said is told.
        """
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=timeout_s
        )
        if done.returncode not in codes:
            raise RuntimeError(
                f"{' '.join(map(str, words))}: expected code {codes}, got {done.returncode}\n"
                f"{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
            )
        return done.stdout

    def _enter(self) -> Iterator[str]:
        yield from (str(_SCRIPTS / "enter.sh"), "--upper", str(self.upper))
        for host, inside in self.binds:
            yield from ("--bind", f"{host}:{inside}")
        yield from (str(self.tree), self.core)


def make_tree(suite: str, folder: Path) -> Path:
    """Make the tree of a Debian for 64-bit ARM, or find it.

    Returns:
        ``folder``.
    """
    subprocess.run([_SCRIPTS / "tree.sh", suite, "arm64", folder], check=True)
    return folder
