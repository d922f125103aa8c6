"""int8 ONNX as exported against int8 TFLite (decisions) and against onnxruntime's own quantization.

The model is EfficientNet-Lite0 as ``make bench-training-elpv`` trains it with seed 0. Decisions
are compared on its 656 test pictures. Times are single invokes in one thread, all models in
turn on the same pictures, in one process; onnxruntime's own quantization starts from the
same float32 ONNX model and the same representative pictures (QDQ, weights per channel, after
its own preparation), with int8 activations, its default, and with uint8 ones.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from linegate_bundle.preprocess import UInt8Array, encode
from linegate_bundle.run_folder import Part, RunFolder, read_split
from linegate_export import conversions, graph
from linegate_export.conversion import INPUT, Artifact
from linegate_export.evaluate import evaluate
from linegate_export.pictures import choose_for_int8, load_pictures
from linegate_export.progress import Steps
from linegate_report.statistics import agreement
from linegate_runtime.backends import BACKENDS
from linegate_training.options import Quality
from tests.benchmarks.bench import FOLDER, Result, show_progress, write
from tests.benchmarks.training_elpv import run_one

_TIMED = 200
_ERRORS_ONLY = 3


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: UInt8Array) -> None:
        self._rows = iter(pictures)

    def get_next(self) -> dict[str, Any] | None:
        row = next(self._rows, None)
        return None if row is None else {INPUT: row.astype(np.float32)[np.newaxis]}


def _quantized_by_onnxruntime(
    float32: bytes, pictures: UInt8Array, activations: QuantType
) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "float32.onnx").write_bytes(float32)
        quant_pre_process(folder / "float32.onnx", folder / "prepared.onnx")
        quantize_static(
            folder / "prepared.onnx",
            folder / "int8.onnx",
            _Reader(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
        )
        return (folder / "int8.onnx").read_bytes()


def _in_onnxruntime(content: bytes) -> Callable[[UInt8Array], object]:
    """Return what invokes a model that takes float32 pixels, as the backend would."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def invoke(picture: UInt8Array) -> object:
        return session.run(None, {INPUT: picture.astype(np.float32)[np.newaxis]})

    return invoke


def _as_exported(artifact: Artifact) -> Callable[[UInt8Array], object]:
    entry = artifact.entry
    backend = BACKENDS.load(entry.format.value)(entry, artifact.content, threads=1)
    return lambda picture: backend.invoke(encode(picture, entry.input.dtype))


def _milliseconds(
    models: dict[str, Callable[[UInt8Array], object]], pictures: UInt8Array
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(_TIMED):
        picture = pictures[number % len(pictures)]
        for name, invoke in models.items():
            start = time.perf_counter()
            invoke(picture)
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(seconds) for name, seconds in times.items()}


def measure(run: RunFolder) -> Result:
    """Convert a run, compare decisions, then time."""
    record, rows = run.read_record(), read_split(run.split)

    def load(chosen: Any, title: str) -> UInt8Array:
        return load_pictures(chosen, Path(record.data), record.preprocess, title).pixels

    chosen, held = choose_for_int8(rows)
    representative = load(chosen, "representative")
    held_out = load(held, "held out")
    test = load((row for row in rows if row.part is Part.TEST), "test")
    model = graph.cut(graph.load_model(run.model), record)
    made = conversions.convert_all(
        model,
        conversions.Samples(representative, held_out),
        record,
        conversions.Making(),
        Steps(conversions.STEPS),
    )
    tflite, onnx = (
        evaluate(artifact, test, record.activation, name)
        for name, artifact in (("int8 TFLite", made.tflite), ("int8 ONNX", made.onnx))
    )
    same = agreement(*([str(row.argmax()) for row in one.probabilities] for one in (tflite, onnx)))
    times = _milliseconds(
        {
            "int8 TFLite": _as_exported(made.tflite),
            "int8 ONNX": _as_exported(made.onnx),
            "onnxruntime's, int8": _in_onnxruntime(
                _quantized_by_onnxruntime(made.float32.content, representative, QuantType.QInt8)
            ),
            "onnxruntime's, uint8": _in_onnxruntime(
                _quantized_by_onnxruntime(made.float32.content, representative, QuantType.QUInt8)
            ),
        },
        test,
    )
    own = min(milliseconds for name, milliseconds in times.items() if "onnxruntime" in name)
    return Result(
        name="onnx-int8",
        protocol=__doc__ or "",
        columns=("model", "median ms", "over onnxruntime's faster one"),
        rows=[(name, round(took, 2), round(took / own, 3)) for name, took in times.items()],
        figures={
            "agreement": same,
            "largest_logit_difference": float(np.abs(tflite.logits - onnx.logits).max()),
            "latency_over_ort": times["int8 ONNX"] / own,
        },
    )


def _main() -> None:
    show_progress()
    folder = FOLDER / "elpv"
    folder.mkdir(parents=True, exist_ok=True)
    run, _ = run_one(folder, Quality.DEFAULT, 0)
    write(measure(run))


if __name__ == "__main__":
    _main()
