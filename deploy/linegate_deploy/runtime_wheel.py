"""The wheel of the runtime that is installed here, made anew from its files.

A kit carries exactly the code that this workstation runs, however it was installed: from a
wheel, or from a checkout that it is edited in.
"""

import base64
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from linegate_bundle.errors import ConfigError

_DISTRIBUTION = "linegate-runtime"
_PACKAGES = ("linegate_bundle", "linegate_runtime")

_TIME = (1980, 1, 1, 0, 0, 0)
"""Of all members, the first that zip knows: the same code gives the same bytes."""

_WHEEL = "Wheel-Version: 1.0\nGenerator: linegate\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A wheel in memory.

    Attributes:
        name: of the file.
        version: of the distribution.
        content: the file.
    """

    name: str
    version: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


def runtime_wheel() -> Wheel:
    """Make the wheel of the runtime that is installed here; the same code, the same bytes.

    Raises:
        ConfigError: its files or its metadata cannot be found.
    """
    try:
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"{_DISTRIBUTION} is not installed here: pip install ./runtime"
        ) from error
    version = distribution.version
    folder = f"{_DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    members = dict(_package_files())
    for name in ("METADATA", "entry_points.txt"):
        members[f"{folder}/{name}"] = _metadata(distribution, name)
    members[f"{folder}/WHEEL"] = _WHEEL.encode()
    for file in distribution.files or []:
        if "licenses" in file.parts and ".dist-info" in file.parts[0]:
            members[f"{folder}/licenses/{file.name}"] = Path(str(file.locate())).read_bytes()
    record = f"{folder}/RECORD"
    members[record] = _record(members, record)
    name = f"{_DISTRIBUTION.replace('-', '_')}-{version}-py3-none-any.whl"
    return Wheel(name=name, version=version, content=_zip(members))


def _package_files() -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ConfigError(f"{package} is not installed here: pip install ./runtime")
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root)}", path.read_bytes()


def _metadata(distribution: importlib.metadata.Distribution, name: str) -> bytes:
    text = distribution.read_text(name)
    if text is None:
        raise ConfigError(f"{_DISTRIBUTION} has no {name}; install it anew: pip install ./runtime")
    return text.encode()


def _record(members: dict[str, bytes], own: str) -> bytes:
    """Return the list of all members (PyPA: recording installed projects)."""
    lines = []
    for name, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()
