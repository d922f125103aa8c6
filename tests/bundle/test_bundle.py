import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.errors import BundleError
from tests.support import tiny_bundle, tiny_manifest

RUNTIME = "0.1.0"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.linegate").read_bytes()


def open_bytes(folder: Path, content: bytes) -> None:
    path = folder / "changed.linegate"
    path.write_bytes(content)
    Bundle.open(path, RUNTIME).close()


def sealed(content: bytes) -> bytes:
    """Put a right SHA-256 at the end, as somebody would who alters a bundle on purpose."""
    return content[:-64] + hashlib.sha256(content[:-64]).hexdigest().encode()


def rezipped(original: bytes, change: dict[str, bytes], **info: object) -> bytes:
    """Write the zip again with members replaced or added, and with a right seal."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(original)) as old, zipfile.ZipFile(buffer, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()} | change
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            for key, value in info.items():
                setattr(member, key, value)
            new.writestr(member, content)
        new.comment = b"0" * 64
    return sealed(buffer.getvalue())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.linegate"
    manifest = tiny_manifest()
    members = {entry.file: entry.file.encode() for entry in manifest.models}
    digest = write_bundle(path, manifest, {**members, "report.html": b"<p>"})
    with Bundle.open(path, RUNTIME) as bundle:
        assert bundle.manifest.labels == manifest.labels
        assert bundle.read("report.html") == b"<p>"
        assert bundle.sha256 == digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_contents_give_same_bytes(tmp_path: Path) -> None:
    first = tiny_bundle(tmp_path / "1.linegate").read_bytes()
    assert first == tiny_bundle(tmp_path / "2.linegate").read_bytes()


def test_any_zip_tool_can_read_it(original: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        assert archive.testzip() is None
        assert "manifest.json" in archive.namelist()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_bit_anywhere_is_found(
    data: st.DataObject, original: bytes, tmp_path: Path
) -> None:
    position = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(original)
    changed[position] ^= 1 << bit
    with pytest.raises(BundleError, match=r"SHA-256|none, or it is cut short"):
        open_bytes(tmp_path, bytes(changed))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_bundle_is_refused(
    data: st.DataObject, original: bytes, tmp_path: Path
) -> None:
    length = data.draw(st.integers(0, len(original) - 1))
    with pytest.raises(BundleError):
        open_bytes(tmp_path, original[:length])


def test_bytes_appended_are_found(original: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cut short|SHA-256"):
        open_bytes(tmp_path, original + b"x")


def test_an_unknown_member_is_refused(original: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"unknown member 'run\.sh'"):
        open_bytes(tmp_path, rezipped(original, {"run.sh": b"rm"}))


@pytest.mark.parametrize("name", ["../model.int8.tflite", "/etc/passwd", "golden/../a.png"])
def test_a_member_outside_the_bundle_is_refused(name: str, original: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="unknown member"):
        open_bytes(tmp_path, rezipped(original, {name: b"x"}))


def test_a_link_is_refused(original: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not stored as a plain file"):
        open_bytes(tmp_path, rezipped(original, {}, external_attr=0o120777 << 16))


def test_a_compressed_member_is_refused(original: bytes, tmp_path: Path) -> None:
    changed = rezipped(original, {"report.html": b"a" * 999}, compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match="not stored as a plain file"):
        open_bytes(tmp_path, changed)


def test_a_member_that_the_manifest_does_not_list_is_refused(
    original: bytes, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"do not agree on .*report\.html"):
        open_bytes(tmp_path, rezipped(original, {"report.html": b"x"}))


def test_a_model_swapped_for_one_of_the_same_size_is_found_when_read(
    original: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "swapped.linegate"
    model = b"A model for the fake engine"
    path.write_bytes(rezipped(original, {"model.int8.onnx": model}))
    with (
        Bundle.open(path, RUNTIME) as bundle,
        pytest.raises(BundleError, match=r"model\.int8\.onnx does not match its SHA-256"),
    ):
        bundle.read("model.int8.onnx")


def test_another_schema_version_is_named(original: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        manifest = archive.read("manifest.json")
    changed = manifest.replace(b'"schema_version": 1', b'"schema_version": 7')
    with pytest.raises(BundleError, match="expected schema version 1, got 7"):
        open_bytes(tmp_path, rezipped(original, {"manifest.json": changed}))


def test_an_older_runtime_is_told_which_it_needs(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path / "a.linegate")
    with pytest.raises(BundleError, match=r"needs linegate-runtime 0\.1\.0 or newer"):
        Bundle.open(path, "0.0.9")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.linegate: cannot be opened"):
        Bundle.open(tmp_path / "gone.linegate", RUNTIME)


def test_a_plain_zip_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b" * 100)
    with pytest.raises(BundleError, match="expected a linegate bundle"):
        Bundle.open(path, RUNTIME)


def test_a_refused_bundle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path / "a.linegate")
    before = path.read_bytes()
    with pytest.raises(BundleError, match="unknown member"):
        write_bundle(path, tiny_manifest(), {"evil.sh": b"", **_models()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _models() -> dict[str, bytes]:
    return {entry.file: b"m" for entry in tiny_manifest().models}
