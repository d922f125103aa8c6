"""Systems that a kit can be made for."""

import dataclasses
from collections.abc import Mapping

_OLDEST_GLIBC = 17
"""``manylinux2014`` is glibc 2.17; nothing older has wheels for these machines (PEP 599)."""


@dataclasses.dataclass(frozen=True)
class Platform:
    """What a kit is made for.

    Attributes:
        name: as the command line has it.
        title: for people.
        architecture: as ``dpkg --print-architecture`` says it.
        machine: the same as Python's ``platform.machine()`` says it.
        glibc: the least minor version of glibc 2 among its systems.
        pythons: versions of the systems' Python that it serves.
    """

    name: str
    title: str
    architecture: str
    machine: str
    glibc: int
    pythons: tuple[str, ...]

    @property
    def wheel_tags(self) -> tuple[str, ...]:
        """Platform tags of wheels that run here, the newest first (PEP 600)."""
        newer = range(self.glibc, _OLDEST_GLIBC - 1, -1)
        return (
            *(f"manylinux_2_{minor}_{self.machine}" for minor in newer),
            f"manylinux2014_{self.machine}",
        )

    def markers(self, python: str) -> Mapping[str, str]:
        """Return what environment markers mean here (PEP 508).

        Args:
            python: one of :attr:`pythons`.
        """
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": "linux",
        }


PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform(
            name="rpi-bookworm",
            title="Raspberry Pi OS or Debian 12 (bookworm), 64-bit ARM",
            architecture="arm64",
            machine="aarch64",
            glibc=36,
            pythons=("3.11",),
        ),
        Platform(
            name="rpi-trixie",
            title="Raspberry Pi OS or Debian 13 (trixie), 64-bit ARM",
            architecture="arm64",
            machine="aarch64",
            glibc=41,
            pythons=("3.13",),
        ),
        Platform(
            name="ubuntu-arm64",
            title="Ubuntu 24.04, 64-bit ARM",
            architecture="arm64",
            machine="aarch64",
            glibc=39,
            pythons=("3.12",),
        ),
        Platform(
            name="debian-x86",
            title="Debian 12 and 13 or Ubuntu 24.04, 64-bit x86",
            architecture="amd64",
            machine="x86_64",
            glibc=36,
            pythons=("3.11", "3.12", "3.13"),
        ),
    )
}
"""All of them, by name."""
