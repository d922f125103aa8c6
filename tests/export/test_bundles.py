"""``linegate compare``: two real bundles on real pictures."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.errors import BundleError, DataError
from linegate_bundle.manifest import DecisionPolicy, Manifest, ModelFormat
from linegate_bundle.run_folder import Part, encode_split
from linegate_export.bundles import compare_bundles, find_photographs
from linegate_runtime.cli import main
from tests.export import nets

BUNDLE = Path(__file__).parents[1] / "data" / "tiny.linegate"
PARTS = {Part.TRAIN: 10, Part.TEST: 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    rows = nets.write_pictures(folder / "data", nets.PLAIN_AND_BLOB, PARTS, seed=7)
    (folder / "split.csv").write_bytes(encode_split(rows))
    return folder


def rewritten(target: Path, **changes: object) -> Path:
    """Copy the bundle with some fields of its manifest changed."""
    with Bundle.open(BUNDLE, "0.1.0") as bundle:
        manifest: Manifest = msgspec.structs.replace(bundle.manifest, **changes)
        members = {name: bundle.read(name) for name in bundle.manifest.members}
    write_bundle(target, manifest, members)
    return target


@pytest.fixture
def lax(tmp_path: Path) -> Path:
    """The same bundle with thresholds that let nearly everything pass."""
    with Bundle.open(BUNDLE, "0.1.0") as bundle:
        vote = bundle.manifest.policy.vote
    policy = DecisionPolicy(accept_at_most=0.999, reject_at_least=0.9999, vote=vote)
    return rewritten(tmp_path / "lax.linegate", version="2.0.0", policy=policy, certificate=None)


def test_thresholds_that_let_more_pass_show_as_new_escapes(folder: Path, lax: Path) -> None:
    photographs = find_photographs(folder / "data", folder / "split.csv")
    assert len(photographs.files) == PARTS[Part.TEST]
    found = compare_bundles(BUNDLE, lax, photographs, ModelFormat.TFLITE)
    assert (found.first.name, found.second.name) == ("tiny 1.0.0", "tiny 2.0.0")
    assert found.first.accuracy.count == found.second.accuracy.count > 30
    assert found.paired.labels.lost == found.paired.labels.gained == 0
    new = found.second.escapes.count - found.first.escapes.count
    assert found.paired.escapes.lost == new > 0
    assert found.paired.escapes.bound > new / found.paired.escapes.of
    assert found.paired.largest_change == 0


def test_the_command_prints_both_and_what_changed(
    folder: Path, lax: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(BUNDLE), str(lax), "--data", str(folder / "data")]
    assert main([*command, "--engine", "onnx"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("50 photographs, 95 % intervals in brackets\nA  tiny 1.0.0  ")
    assert "\nB  tiny 2.0.0  " in printed
    assert " new, 0 gone of 25; p " in printed
    assert main([*command, "--json", "--split", str(folder / "split.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["photographs"], found["paired"]["labels"]["p_value"]) == (40, 1.0)


def test_bundles_with_other_labels_are_refused(folder: Path, tmp_path: Path) -> None:
    labels = tuple(
        msgspec.structs.replace(label, name=f"{label.name}s") for label in nets.PLAIN_AND_BLOB
    )
    renamed = rewritten(tmp_path / "renamed.linegate", labels=labels, golden=(), certificate=None)
    photographs = find_photographs(folder / "data")
    with pytest.raises(BundleError, match=r"the same labels, got plain \(good\).* and plains"):
        compare_bundles(BUNDLE, renamed, photographs, ModelFormat.TFLITE)


def test_photographs_of_an_unknown_label_or_none_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one sub-folder a label"):
        find_photographs(tmp_path)
    strange = tmp_path / "data"
    shutil.copytree(folder / "data" / "plain", strange / "strange")
    with pytest.raises(DataError, match="photographs of plain, blob, got some of strange"):
        compare_bundles(BUNDLE, BUNDLE, find_photographs(strange), ModelFormat.TFLITE)
