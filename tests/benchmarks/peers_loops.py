"""The peers: each a way from a BGR frame to a verdict that somebody would write.

They run in the environments of :mod:`tests.benchmarks.peers_worker`, so each imports what it
needs, and only when it is opened. Loops written by hand are as good as a user who knows the
engine writes them: OpenCV for resizing and colour, all of it on the small image, no copy that
can be left out.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tests.benchmarks import peers_files as files
from tests.benchmarks.peers_files import Facts

Frame = npt.NDArray[np.uint8]

Answer = tuple[str, float]
"""Verdict, and the probability that it comes from."""

_ONE_LOGIT = (1, 1)
_HALF = np.uint8(128)
_ERRORS_ONLY = 3


def _nothing(frame: Frame) -> None:
    """Prepare nothing."""


def _same(given: Any) -> Answer:
    """Return what already is an answer."""
    answer: Answer = given
    return answer


class Peer(NamedTuple):
    """An open peer.

    Attributes:
        judge: takes a frame to a verdict; this is what is timed.
        read: turns what ``judge`` gave into an answer; not timed.
        prepare: is shown each frame before, not timed; only the bare engine needs it.
    """

    judge: Callable[[Frame], Any]
    read: Callable[[Any], Answer] = _same
    prepare: Callable[[Frame], None] = _nothing


def linegate(folder: Path, facts: Facts) -> Peer:
    """Open linegate: trigger, region, model, policy, and the row that goes on record."""
    import cv2

    from tests.benchmarks.frame_line import FrameLine

    del facts
    cv2.setNumThreads(1)
    line = FrameLine(folder / files.BUNDLE)
    return Peer(line.judge, lambda row: (row.verdict.value, row.defect_probability))


def bare_litert(folder: Path, facts: Facts) -> Peer:
    """Open ai-edge-litert; only its invoke counts. The lower bound."""
    interpreter, place, output = _open_tflite("ai_edge_litert", folder)
    pixels: Callable[[Frame], Frame] | None = None

    def prepare(frame: Frame) -> None:
        nonlocal pixels
        pixels = pixels or _resize_and_swap(facts.side)
        interpreter.set_tensor(place, (pixels(frame) - _HALF).view(np.int8)[np.newaxis])

    def judge(frame: Frame) -> None:
        del frame
        interpreter.invoke()

    def read(given: None) -> Answer:
        del given
        return _decide(_tflite_logit(interpreter.get_tensor(output), facts), facts)

    return Peer(judge, read, prepare)


def litert_loop(folder: Path, facts: Facts) -> Peer:
    """Open ai-edge-litert in a loop written by hand."""
    return _tflite_loop("ai_edge_litert", folder, facts)


def tflite_runtime(folder: Path, facts: Facts) -> Peer:
    """Open tflite-runtime in the same loop."""
    return _tflite_loop("tflite_runtime", folder, facts)


def onnxruntime(folder: Path, facts: Facts) -> Peer:
    """Open onnxruntime on the bundle's int8 ONNX, which takes the pixels as they are.

    With ``session.x64quantprecision``, or else sums of 16 bits overflow on x86 without VNNI.
    """
    return _onnx_loop(folder, facts, {"session.x64quantprecision": "1"})


def onnxruntime_default(folder: Path, facts: Facts) -> Peer:
    """Open the same with the options that it has by itself."""
    return _onnx_loop(folder, facts, {})


def mediapipe(folder: Path, facts: Facts) -> Peer:
    """Open MediaPipe's ImageClassifier, which resizes and quantizes by itself."""
    import cv2
    import mediapipe as mp

    cv2.setNumThreads(1)
    options = mp.tasks.vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=str(folder / files.UINT8_TFLITE))
    )
    classifier = mp.tasks.vision.ImageClassifier.create_from_options(options)

    def judge(frame: Frame) -> Answer:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        found = classifier.classify(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb))
        scores = {one.category_name: one.score for one in found.classifications[0].categories}
        return _judged(scores[facts.defect], facts)

    return Peer(judge)


def openvino(folder: Path, facts: Facts) -> Peer:
    """Open OpenVINO on the int8 TFLite file, written into the request's own input.

    With resizing, colour and quantization in the graph (its ``PrePostProcessor``) it was
    slower: 1.5 against 1.2 ms at 96, 9.5 against 8.1 ms at 224 pixels. Its int8 sums overflow
    on x86 without VNNI, and no documented option prevents that.
    """
    return _openvino_loop(folder, facts, {})


def openvino_float(folder: Path, facts: Facts) -> Peer:
    """Open the same file and let OpenVINO compute its int8 operators in float32.

    The option is an internal one of OpenVINO; its sums cannot overflow on any processor.
    """
    return _openvino_loop(folder, facts, {"LP_TRANSFORMS_MODE": "NO"})


def cv2_dnn(folder: Path, facts: Facts) -> Peer:
    """Open cv2.dnn on float32 ONNX, the only one of the files that it runs.

    OpenCV 5.0 refuses the int8 TFLite file (``ReduceInt8``), and says the same to every frame
    with the int8 ONNX one.
    """
    pixels = _resize_and_swap(facts.side)
    import cv2

    net = cv2.dnn.readNetFromONNX(str(folder / files.FLOAT32_ONNX))

    def judge(frame: Frame) -> Answer:
        net.setInput(pixels(frame)[np.newaxis].astype(np.float32))
        return _decide(float(net.forward("logits")[0, 0]), facts)

    return Peer(judge)


PEERS: dict[str, Callable[[Path, Facts], Peer]] = {
    "linegate": linegate,
    "bare_litert": bare_litert,
    "litert_loop": litert_loop,
    "tflite_runtime": tflite_runtime,
    "onnxruntime": onnxruntime,
    "onnxruntime_default": onnxruntime_default,
    "mediapipe": mediapipe,
    "openvino": openvino,
    "openvino_float": openvino_float,
    "cv2_dnn": cv2_dnn,
}


def _tflite_loop(package: str, folder: Path, facts: Facts) -> Peer:
    interpreter, place, output = _open_tflite(package, folder)
    pixels = _resize_and_swap(facts.side)

    def judge(frame: Frame) -> Answer:
        interpreter.set_tensor(place, (pixels(frame) - _HALF).view(np.int8)[np.newaxis])
        interpreter.invoke()
        return _decide(_tflite_logit(interpreter.get_tensor(output), facts), facts)

    return Peer(judge)


def _open_tflite(package: str, folder: Path) -> tuple[Any, int, int]:
    """Return an interpreter, and the indices of its input and of the logit."""
    import importlib

    module = importlib.import_module(f"{package}.interpreter")
    interpreter = module.Interpreter(str(folder / files.INT8_TFLITE), num_threads=1)
    interpreter.allocate_tensors()
    outputs = interpreter.get_output_details()
    (output,) = [one["index"] for one in outputs if tuple(one["shape"]) == _ONE_LOGIT]
    return interpreter, interpreter.get_input_details()[0]["index"], output


def _onnx_loop(folder: Path, facts: Facts, entries: dict[str, str]) -> Peer:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    model = str(folder / files.INT8_ONNX)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pixels = _resize_and_swap(facts.side)

    def judge(frame: Frame) -> Answer:
        (stored,) = session.run(["logits"], {"image": pixels(frame)[np.newaxis]})
        logit = facts.onnx_scale * (float(stored[0, 0]) - facts.onnx_zero_point)
        return _decide(logit, facts)

    return Peer(judge)


def _openvino_loop(folder: Path, facts: Facts, options: dict[str, str]) -> Peer:
    import openvino as ov  # type: ignore[import-not-found]

    core = ov.Core()
    core.set_property("CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1})
    model = core.read_model(str(folder / files.INT8_TFLITE))
    request = core.compile_model(model, "CPU", options).create_infer_request()
    (output,) = [one.index for one in model.outputs if tuple(one.shape) == _ONE_LOGIT]
    tensor = request.get_input_tensor().data[0].view(np.uint8)
    pixels = _resize_and_swap(facts.side)

    def judge(frame: Frame) -> Answer:
        np.subtract(pixels(frame), _HALF, out=tensor)
        request.infer()
        return _decide(_tflite_logit(request.get_output_tensor(output).data, facts), facts)

    return Peer(judge)


def _resize_and_swap(side: int) -> Callable[[Frame], Any]:
    """Return what makes the model's pixels out of a frame."""
    import cv2

    cv2.setNumThreads(1)

    def pixels(frame: Frame) -> Any:
        small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_LINEAR)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    return pixels


def _tflite_logit(stored: npt.NDArray[np.int8], facts: Facts) -> float:
    return facts.tflite_scale * (float(stored[0, 0]) - facts.tflite_zero_point)


def _decide(logit: float, facts: Facts) -> Answer:
    return _judged(1 / (1 + math.exp(-logit)), facts)


def _judged(probability: float, facts: Facts) -> Answer:
    if probability >= facts.reject_at_least:
        return "reject", probability
    if probability <= facts.accept_at_most:
        return "accept", probability
    return "unsure", probability
