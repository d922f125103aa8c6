"""One file with everything that a board without network needs."""

import dataclasses
import hashlib
import importlib.resources
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

import linegate_runtime
from linegate_bundle.atomic import atomic_file
from linegate_bundle.bundle import Bundle
from linegate_deploy.platforms import Platform
from linegate_deploy.requirement_list import Pin, as_text, pins_for
from linegate_deploy.runtime_wheel import Wheel, runtime_wheel
from linegate_deploy.wheels import fetch_wheels
from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.toml_file import refuse

_BOARD_FILES = (
    "Containerfile",
    "README.txt",
    "install.sh",
    "installer/bundle.sh",
    "installer/data.sh",
    "installer/environment.sh",
    "installer/files.sh",
    "installer/removal.sh",
    "installer/service.sh",
    "installer/switch.sh",
    "installer/system.sh",
    "journald.conf",
    "linegate.service",
    "linegate.toml",
)
_EXECUTABLE = ("install.sh",)

_BUNDLE = Path("/var/lib/linegate/bundle.linegate")
"""Where a board's settings find what judges; the installer lets it point there."""

_SETTINGS = Path("/etc/linegate")
"""Where a board's settings lie, and what they name: secrets, certificates, an empty scene."""


@dataclasses.dataclass(frozen=True)
class KitRequest:
    """What a kit is to hold.

    Attributes:
        platform: of the board.
        bundle: to be judged by; None leaves that to the board.
        settings: for ``linegate run``; None leaves the commented template.
        shelf: a folder of wheels; None asks the package index.
    """

    platform: Platform
    bundle: Path | None = None
    settings: Path | None = None
    shelf: Path | None = None


def make_kit(request: KitRequest, folder: Path) -> Path:
    """Write a kit: a tar file with one folder; the same contents give the same bytes.

    Args:
        request: what it is to hold.
        folder: an existing folder for the file.

    Returns:
        The file.

    Raises:
        BundleError: the bundle is damaged or of another version.
        ConfigError: the settings are wrong, or the runtime's files cannot be found.
        OutputError: the wheels are not to be had.
        OSError: the kit cannot be written.
    """
    version = linegate_runtime.__version__
    name = f"linegate-kit-{request.platform.name}-{version}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".linegate-kit-") as temporary:
        root = Path(temporary) / name
        (root / "wheels").mkdir(parents=True)
        # What may be refused comes first; the wheels take longest.
        if request.bundle is not None:
            name += f"-{_add_bundle(request.bundle, root)}"
        if request.settings is not None:
            _check_settings(request.settings)
            shutil.copyfile(request.settings, root / "settings.toml")
        (root / "installer").mkdir()
        for own in _BOARD_FILES:
            (root / own).write_bytes(_board_file(own))
        _add_wheels(request, root)
        (root / "kit.conf").write_text(_description(request.platform, version))
        (root / "SHA256SUMS").write_text("".join(_sums(root)))
        kit = folder / f"{name}.tar"
        with atomic_file(kit) as file, tarfile.TarFile(fileobj=file, mode="w") as archive:
            _pack(archive, root)
    return kit


def _check_settings(path: Path) -> None:
    """Refuse settings that are wrong, or that mean something else on a board.

    Raises:
        ConfigError: names all mistakes.
    """
    config = load_config(path, Overrides())
    problems = []
    if config.bundle is None:
        problems.append(f'{path}: expected bundle = "{_BUNDLE}" before its first table')
    kept = {"bundle": config.bundle, "[record] path": config.record}
    if config.pictures is not None:
        kept["[record] pictures"] = config.pictures.folder
    for key, place in kept.items():
        # Beside this file is something else on the board: /etc/linegate, where nothing is written.
        if place is not None and place.is_relative_to(path.parent):
            problems.append(f"{path}: {key}: {_on_board(place)}")
    for family, plugin in config.plugins:
        options = plugin.table.read(family.load(plugin.kind).Options, problems)
        for key, place in _paths(options):
            if place.is_relative_to(path.parent):
                text = f"{_on_board(place)}, or {_SETTINGS / place.name} if it is only read"
                problems.append(plugin.table.problem(key, text))
    refuse(list(dict.fromkeys(problems)))


def _paths(options: msgspec.Struct | None) -> Iterator[tuple[str, Path]]:
    for field in () if options is None else msgspec.structs.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Path):
            yield field.encode_name, value


def _on_board(place: Path) -> str:
    example = _BUNDLE.parent / place.name
    return f"a kit carries no such file; expected a path on the board, such as {example}"


def _board_file(name: str) -> bytes:
    return (importlib.resources.files("linegate_deploy") / "board" / name).read_bytes()


def _add_bundle(path: Path, root: Path) -> str:
    """Put the bundle into the kit; return its name and version."""
    with Bundle.open(path, linegate_runtime.__version__) as bundle:
        manifest = bundle.manifest
        for member in manifest.members:
            bundle.read(member)
    name = f"{manifest.name}-{manifest.version}"
    (root / "bundle").mkdir()
    shutil.copyfile(path, root / "bundle" / f"{name}.linegate")
    return name


def _add_wheels(request: KitRequest, root: Path) -> None:
    """Put wheels into the kit, and for each Python the list of those that it installs."""
    wheel = runtime_wheel()
    (root / "wheels" / wheel.name).write_bytes(wheel.content)
    for python in request.platform.pythons:
        markers = request.platform.markers(python)
        installer = pins_for(_board_file("installer.txt").decode(), markers)
        pins = pins_for(_board_file("requirements.txt").decode(), markers)
        fetch_wheels([*installer, *pins], request.platform, python, request.shelf, root / "wheels")
        listed = as_text([*pins, _pin(wheel)])
        (root / f"requirements-{python}.txt").write_text(listed)


def _pin(wheel: Wheel) -> Pin:
    return Pin("linegate-runtime", wheel.version, (f"sha256:{wheel.sha256}",))


def _description(platform: Platform, version: str) -> str:
    """Return what the installer compares with the board; a shell reads it line by line."""
    return (
        f"version={version}\n"
        f"platform={platform.name}\n"
        f"title={platform.title}\n"
        f"architecture={platform.architecture}\n"
        f"pythons={' '.join(platform.pythons)}\n"
    )


def _sums(root: Path) -> Iterator[str]:
    """Return lines that ``sha256sum -c`` reads, of all files."""
    for path in _files(root):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield f"{digest}  {path.relative_to(root)}\n"


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _pack(archive: tarfile.TarFile, root: Path) -> None:
    """Add all files without what differs between two makings: times, owners and modes."""
    for path in _files(root):
        info = tarfile.TarInfo(f"{root.name}/{path.relative_to(root)}")
        info.size = path.stat().st_size
        info.mode = 0o755 if path.name in _EXECUTABLE else 0o644
        with path.open("rb") as file:
            archive.addfile(info, file)
