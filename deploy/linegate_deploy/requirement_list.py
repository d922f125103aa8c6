"""Hashed lists of requirements, as pip reads them, for a machine that this one is not.

pip takes wheels for other machines, but evaluates environment markers for the one it runs on.
So markers are evaluated here, and what is left has none.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from linegate_bundle.errors import ConfigError

_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclasses.dataclass(frozen=True)
class Pin:
    """One distribution.

    Attributes:
        name, version: of it.
        hashes: of the files that are allowed, each ``sha256:`` with 64 digits.
    """

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a line of a list, continued over several."""
        lines = [f"{self.name}=={self.version}", *(f"--hash={one}" for one in self.hashes)]
        return " \\\n    ".join(lines)


def pins_for(text: str, markers: Mapping[str, str]) -> list[Pin]:
    """Return what a list asks for on a machine.

    Args:
        text: lines ``NAME==VERSION ; MARKER --hash=sha256:...``, continued with backslashes.
        markers: what environment markers mean there, see
            :meth:`~linegate_deploy.platforms.Platform.markers`.

    Raises:
        ConfigError: a line is no pinned, hashed distribution.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        asked = line.partition(" #")[0].strip()
        if not asked or asked.startswith("#"):
            continue
        hashes = tuple(_HASH.findall(asked))
        try:
            requirement = Requirement(asked.partition("--hash")[0].strip())
        except InvalidRequirement as error:
            raise ConfigError(
                f"expected NAME==VERSION with hashes, got {asked!r}: {error}"
            ) from error
        specifiers = [*requirement.specifier]
        if len(specifiers) != 1 or specifiers[0].operator != "==" or not hashes:
            raise ConfigError(f"expected NAME==VERSION with hashes, got {asked!r}")
        if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
            pins.append(Pin(requirement.name, specifiers[0].version, hashes))
    return pins


def as_text(pins: Sequence[Pin]) -> str:
    """Return a list of its own that pip reads."""
    return "".join(f"{pin}\n" for pin in pins)
