"""TFLite for other programs: the same answers, labels inside, and MediaPipe opens it."""

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from linegate_bundle.manifest import Activation, Label, PreprocessSpec
from linegate_bundle.preprocess import UInt8Array
from linegate_export import onnx_float32, tflite_interop
from linegate_export.conversion import Artifact, ConversionError, RequirementError
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable
from linegate_export.onnx_metadata import described
from linegate_export.tflite_file import read_tflite
from tests.export import nets
from tests.export.nets import Example

MEDIAPIPE = Path(os.environ.get("LINEGATE_MEDIAPIPE", "build/env/mediapipe/bin/python"))
"""A Python that has mediapipe and nothing of linegate."""

SCRIPT = Path(__file__).parent / "classify_with_mediapipe.py"


@pytest.fixture(scope="module")
def artifact(deployable: Deployable, float_tflite: bytes, blob_pictures: UInt8Array) -> Artifact:
    return nets.to_int8(deployable, float_tflite, blob_pictures)


@pytest.fixture(scope="module")
def content(artifact: Artifact, blob_pictures: UInt8Array) -> bytes:
    return tflite_interop.convert(
        artifact, nets.PLAIN_AND_BLOB, Activation.SIGMOID, blob_pictures[:16]
    )


def probabilities(content: bytes, pictures: UInt8Array) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    runner = interpreter.get_signature_runner()
    return np.concatenate(
        [runner(image=picture[np.newaxis])["probabilities"] for picture in pictures]
    )


def test_pixels_go_in_and_a_probability_a_label_comes_out(
    content: bytes, artifact: Artifact, blob_pictures: UInt8Array
) -> None:
    file = read_tflite(content)
    assert {name: (one.dtype, one.shape) for name, one in file.inputs.items()} == {
        "image": ("uint8", (1, nets.SIDE, nets.SIDE, 3))
    }
    assert {name: (one.dtype, one.shape) for name, one in file.outputs.items()} == {
        "probabilities": ("uint8", (1, 2))
    }
    given = probabilities(content, blob_pictures) / 256
    expected = evaluate(artifact, blob_pictures, Activation.SIGMOID, "").probabilities
    assert np.abs(given - expected).max() <= 3 / 256
    assert np.ptp(given[:, 1]) > 0.5


def test_three_labels_need_no_second_logit(three: Example, tmp_path: Path) -> None:
    from linegate_bundle.run_folder import read_split
    from linegate_export import graph, tflite_float32
    from linegate_export.pictures import load_pictures
    from linegate_export.saved_model import write_saved_model

    model = graph.cut(graph.load_model(three.run.model), three.run.read_record())
    write_saved_model(model, tmp_path)
    rows = read_split(three.run.split)[:30]
    pictures = load_pictures(rows, three.data, nets.spec(), "").pixels
    artifact = nets.to_int8(model, tflite_float32.convert(model, tmp_path), pictures)
    content = tflite_interop.convert(artifact, three.labels, Activation.SOFTMAX, pictures)
    expected = evaluate(artifact, pictures, Activation.SOFTMAX, "").probabilities
    assert np.abs(probabilities(content, pictures) / 256 - expected).max() <= 3 / 256


def test_the_labels_are_inside_and_the_bytes_are_the_same_again(
    content: bytes, artifact: Artifact, blob_pictures: UInt8Array
) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == b"plain\nblob\n"
    again = tflite_interop.convert(
        artifact, nets.PLAIN_AND_BLOB, Activation.SIGMOID, blob_pictures[:2]
    )
    assert again == content


def test_a_label_of_two_lines_is_refused(artifact: Artifact, blob_pictures: UInt8Array) -> None:
    labels = (nets.PLAIN_AND_BLOB[0], msgspec.structs.replace(nets.PLAIN_AND_BLOB[1], name="a\nb"))
    with pytest.raises(RequirementError, match="labels of one line each"):
        tflite_interop.convert(artifact, labels, Activation.SIGMOID, blob_pictures)


def test_other_answers_than_the_proven_models_are_caught(
    content: bytes, artifact: Artifact, blob_pictures: UInt8Array
) -> None:
    with pytest.raises(ConversionError, match="they differ by"):
        tflite_interop._ensure_same(shifted(content), artifact, Activation.SIGMOID, blob_pictures)


def shifted(content: bytes) -> bytes:
    """Return the model with another zero point at its input, as a careless copy would have it."""
    from linegate_export.tflite_edit import read_model, write_model

    model = read_model(content)
    graph = model.subgraphs[0]
    graph.tensors[int(graph.inputs[0])].quantization.zeroPoint = np.array([60], np.int64)
    return write_model(model)


@pytest.mark.skipif(not MEDIAPIPE.exists(), reason="no MediaPipe here: make test sets it up")
def test_mediapipe_opens_it_and_gives_our_labels_and_probabilities(
    content: bytes, artifact: Artifact, blob_pictures: UInt8Array, tmp_path: Path
) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    for number, picture in enumerate(blob_pictures[:12]):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture[..., ::-1])
    done = subprocess.run(
        [MEDIAPIPE, SCRIPT, tmp_path], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    given = json.loads(done.stdout)
    expected = evaluate(artifact, blob_pictures[:12], Activation.SIGMOID, "").probabilities
    assert len(given) == len(expected)
    for scores, row in zip(given, expected, strict=True):
        assert scores.keys() == {"plain", "blob"}
        assert scores["plain"] == pytest.approx(row[0], abs=4 / 256)
        assert scores["blob"] == pytest.approx(row[1], abs=4 / 256)


def test_onnx_says_its_labels_and_preprocessing_and_answers_as_before(
    deployable: Deployable, float_tflite: bytes, blobs: Example, blob_pictures: UInt8Array
) -> None:
    plain = onnx_float32.convert(deployable, float_tflite)
    record = blobs.run.read_record()
    told = described(plain, record)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        told.content, options, providers=["CPUExecutionProvider"]
    )
    known = session.get_modelmeta().custom_metadata_map
    assert msgspec.json.decode(known["labels"], type=tuple[Label, ...]) == record.labels
    spec = msgspec.json.decode(known["preprocess"], type=PreprocessSpec)
    assert spec == record.preprocess
    assert json.loads(known["activation"]) == "sigmoid"
    before, after = (
        evaluate(one, blob_pictures[:4], Activation.SIGMOID, "").logits for one in (plain, told)
    )
    np.testing.assert_array_equal(before, after)
    assert onnx.load_from_string(told.content).graph == onnx.load_from_string(plain.content).graph
