import json
from pathlib import Path

import msgspec
import pytest

import linegate_runtime
from linegate_bundle.bundle import Bundle, write_bundle
from linegate_bundle.manifest import Manifest, ModelFormat
from linegate_runtime import verify
from linegate_runtime.cli import main
from tests.support import TINY_BUNDLE


def rewritten(path: Path, change: dict[str, bytes], **fields: object) -> Path:
    """Write the real small bundle again, sealed anew, with some of it changed."""
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as bundle:
        members = {name: bundle.read(name) for name in bundle.manifest.members}
        manifest = msgspec.structs.replace(bundle.manifest, **fields)
    write_bundle(path, manifest, members | change)
    return path


def golden_shifted(manifest: Manifest, by: float) -> Manifest:
    golden = []
    for frame in manifest.golden:
        outputs = tuple(
            msgspec.structs.replace(output, logits=tuple(value + by for value in output.logits))
            for output in frame.outputs
        )
        golden.append(msgspec.structs.replace(frame, outputs=outputs))
    return msgspec.structs.replace(manifest, golden=tuple(golden))


def test_a_good_bundle_passes_with_a_line_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(TINY_BUNDLE), "--json"]) == 0
    checks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {check["outcome"] for check in checks} == {"ok"}
    assert [check["subject"] for check in checks][-2:] == ["model.int8.tflite", "model.int8.onnx"]


def test_an_output_that_differs_fails_and_says_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as bundle:
        shifted = golden_shifted(bundle.manifest, 10.0)
    path = rewritten(tmp_path / "a.linegate", {}, golden=shifted.golden)
    assert main(["verify", str(path)]) == 6
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed")]
    assert len(failed) == 2
    assert "a logit differs by 10" in failed[0]


def test_a_golden_frame_that_was_exchanged_fails(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    picture = cv2.imencode(".png", np.full((24, 24, 3), 255, np.uint8))[1].tobytes()
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as bundle:
        names = [frame.file for frame in bundle.manifest.golden]
    path = rewritten(tmp_path / "a.linegate", dict.fromkeys(names, picture))
    assert main(["verify", str(path)]) == 6


def test_a_model_that_no_golden_frame_covers_fails(tmp_path: Path) -> None:
    assert main(["verify", str(rewritten(tmp_path / "a.linegate", {}, golden=()))]) == 6


def test_a_model_exchanged_and_sealed_again_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rewritten(tmp_path / "a.linegate", {"model.int8.tflite": b"no model"})
    assert main(["verify", str(path)]) == 6
    assert "refuses model.int8.tflite" in capsys.readouterr().out


def test_a_damaged_bundle_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(TINY_BUNDLE.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "a.linegate"
    path.write_bytes(content)
    assert main(["verify", str(path)]) == 3
    assert "the file is damaged" in capsys.readouterr().err


def test_a_device_is_held_against_the_answers_of_its_own_kernel() -> None:
    with Bundle.open(TINY_BUNDLE, linegate_runtime.__version__) as bundle:
        manifest = bundle.manifest
    entry = manifest.model(ModelFormat.TFLITE)
    stored = {
        output.engine.kernel
        for frame in manifest.golden
        for output in frame.outputs
        if output.file == entry.file
    }
    assert stored == {"xnnpack", "builtin"}
    for kernel in sorted(stored):
        engine = msgspec.structs.replace(entry.engine, kernel=kernel)
        frames = verify._frames_for(manifest, entry, engine)
        assert len(frames) == len(manifest.golden)
        assert {output.engine.kernel for _, output in frames} == {kernel}
    unknown = msgspec.structs.replace(entry.engine, kernel="another")
    assert len(verify._frames_for(manifest, entry, unknown)) == len(manifest.golden)
