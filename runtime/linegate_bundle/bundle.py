"""The bundle file: a zip whose members are stored as they are, read without extracting.

The last 64 bytes, the zip's comment, are the SHA-256 of all bytes before them,
in hexadecimal. A reader checks that before it parses anything, then each member
against its hash in ``manifest.json``. Writing the same contents gives the same
bytes: members are in a fixed order and carry no time.
"""

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from linegate_bundle.atomic import atomic_file, sync_file
from linegate_bundle.errors import BundleError
from linegate_bundle.manifest import Manifest, Member
from linegate_bundle.manifest_file import decode_manifest, encode_manifest

SUFFIX = ".linegate"
MANIFEST = "manifest.json"
REPORT = "report.html"
_DIGEST_LENGTH = 64
_CHUNK = 1 << 20
_MIB = 1 << 20
_MAXIMUM_MEMBERS = 256
_LOCAL_HEADER_LENGTH = 30
_EPOCH = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100644 << 16

_ALLOWED = (
    (re.compile(r"manifest\.json"), 1 * _MIB),
    (re.compile(r"model\.(int8|float16|float32)\.(tflite|onnx)"), 512 * _MIB),
    (re.compile(r"golden/[0-9]{3}\.png"), 16 * _MIB),
    (re.compile(r"report\.html"), 64 * _MIB),
)
"""Member names that may occur, each with its largest size in bytes."""


def write_bundle(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> str:
    """Write a bundle as a whole or not at all and return the file's SHA-256.

    See :func:`staged_bundle`.
    """
    with staged_bundle(path, manifest, members) as sha256:
        return sha256


@contextlib.contextmanager
def staged_bundle(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> Iterator[str]:
    """Write a bundle to disk that takes its name if the block ends well; give its SHA-256.

    Args:
        path: the file to write; an existing one is replaced.
        manifest: its ``members`` are filled in here.
        members: contents by member name, without the manifest.

    Raises:
        BundleError: a member name or size that no reader would accept, or a
            manifest that contradicts itself.
        OSError: the disk is full or the folder not writable.
    """
    described = {
        name: Member(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(members.items())
    }
    manifest = msgspec.structs.replace(manifest, members=described)
    content = encode_manifest(manifest)
    decode_manifest(content, manifest.minimum_runtime)
    contents = {MANIFEST: content, **dict(sorted(members.items()))}
    for name, data in contents.items():
        _check_member(name, len(data))
    with atomic_file(path) as file:
        _write_zip(file, contents)
        digest = _hash_up_to(file, file.tell() - _DIGEST_LENGTH)
        file.seek(-_DIGEST_LENGTH, 2)
        file.write(digest.encode())
        sha256 = _hash_up_to(file, file.tell())
        sync_file(file)
        yield sha256


class Bundle:
    """An open bundle: the checked manifest, and the members on demand.

    Attributes:
        path: where it was opened.
        sha256: hash of the whole file, the bundle's identity in records.
        manifest: what it holds.
    """

    def __init__(self, path: Path, file: BinaryIO, runtime_version: str) -> None:
        self.path = path
        self._file = file
        self.sha256 = _check_digest(file)
        self._members = {member.filename: member for member in _read_directory(file)}
        if MANIFEST not in self._members:
            raise BundleError(f"expected a member {MANIFEST}, got {sorted(self._members)}")
        self.manifest = decode_manifest(self._read(MANIFEST), runtime_version)
        self._check_members()

    @classmethod
    def open(cls, path: Path, runtime_version: str) -> Self:
        """Open a bundle and check it.

        Args:
            path: the ``.linegate`` file.
            runtime_version: version of the runtime that opens it, ``X.Y.Z``.

        Raises:
            BundleError: not there, cut short, altered, of another version, or with
                members or fields that do not belong in a bundle.
        """
        try:
            if path.exists() and not path.is_file():
                raise BundleError(f"{path}: expected a file")
            file = path.open("rb")
        except OSError as error:
            raise BundleError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            return cls(path, file, runtime_version)
        except BundleError as error:
            file.close()
            raise BundleError(f"{path}: {error}") from error
        except BaseException:
            file.close()
            raise

    def read(self, name: str) -> bytes:
        """Return a member's content, checked against its hash.

        Raises:
            BundleError: no such member, or the file was altered since it was opened.
        """
        try:
            expected = self.manifest.members[name]
        except KeyError:
            names = sorted(self.manifest.members)
            raise BundleError(f"{self.path}: expected one of {names}, got {name!r}") from None
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != expected.sha256:
            raise BundleError(f"{self.path}: {name} does not match its SHA-256 in {MANIFEST}")
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        self._file.seek(member.header_offset + _LOCAL_HEADER_LENGTH + len(name))
        content = self._file.read(member.file_size)
        if len(content) != member.file_size:
            raise BundleError(f"{name} is cut short; the file was altered after it was opened")
        return content

    def _check_members(self) -> None:
        present = {name: member.file_size for name, member in self._members.items()}
        del present[MANIFEST]
        listed = {name: member.size for name, member in self.manifest.members.items()}
        if present != listed:
            odd = sorted(set(present.items()) ^ set(listed.items()))
            raise BundleError(f"the members and {MANIFEST} do not agree on {odd}")


def _write_zip(file: BinaryIO, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = b"0" * _DIGEST_LENGTH
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _REGULAR_FILE
            info.create_system = 3
            archive.writestr(info, data)


def _check_digest(file: BinaryIO) -> str:
    size = file.seek(0, 2)
    expected = b""
    if size > _DIGEST_LENGTH:
        file.seek(size - _DIGEST_LENGTH)
        expected = file.read(_DIGEST_LENGTH)
    if not re.fullmatch(rb"[0-9a-f]{64}", expected):
        raise BundleError("expected a linegate bundle; this is none, or it is cut short")
    if _hash_up_to(file, size - _DIGEST_LENGTH) != expected.decode():
        raise BundleError(
            "the file is damaged: its SHA-256 is not the one at its end; copy it again"
        )
    return _hash_up_to(file, size)


def _hash_up_to(file: BinaryIO, length: int) -> str:
    """Hash the first ``length`` bytes and leave the position there."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0:
        chunk = file.read(min(_CHUNK, length))
        if not chunk:
            raise BundleError("the file became shorter while it was read")
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest()


def _read_directory(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """Read the zip's directory; refuse all that :func:`write_bundle` would not have written."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            start_of_directory = archive.start_dir
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise BundleError(f"expected a linegate bundle, got no readable zip: {error}") from error
    if len(members) > _MAXIMUM_MEMBERS:
        raise BundleError(f"expected at most {_MAXIMUM_MEMBERS} members, got {len(members)}")
    offset = 0
    for member in members:
        _check_member(member.filename, member.file_size)
        plain = (
            member.compress_type == zipfile.ZIP_STORED
            and member.compress_size == member.file_size
            and member.flag_bits == 0
            and not member.extra
            and not member.comment
            and member.date_time == _EPOCH
            and member.external_attr == _REGULAR_FILE
            and member.header_offset == offset
        )
        if not plain:
            raise BundleError(f"{member.filename} is not stored as a plain file of a bundle")
        offset += _LOCAL_HEADER_LENGTH + len(member.filename) + member.file_size
    if offset != start_of_directory:
        raise BundleError("expected nothing but members before the zip's directory")
    if len({member.filename for member in members}) != len(members):
        raise BundleError("a member is there twice")
    return members


def _check_member(name: str, size: int) -> None:
    for pattern, largest in _ALLOWED:
        if pattern.fullmatch(name):
            if size <= largest:
                return
            raise BundleError(f"{name}: expected at most {largest} bytes, got {size}")
    raise BundleError(f"unknown member {name!r}: a bundle has no such file")
