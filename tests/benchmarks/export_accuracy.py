"""What int8 costs on real pictures: float, int8 TFLite and int8 ONNX on the same test parts.

Protocol: the runs of the training's benchmarks (ELPV: five seeds of the default recipe, 656 test
cells each; DeepPCB: both recipes, 4,395 test crops) are converted with the export's defaults, and
all artifacts are measured through the device's own engines, preprocessing and decision. The most
probable label counts. "Lost at most" is the one-sided 95 % bound of the accuracy that is lost
against float on the same pictures.

The cost of the further outputs (class map and embedding) is that of the first run's int8 TFLite
with all three against logits alone, in one run in which they take turns.
"""

import argparse
import dataclasses
import functools
import statistics
import tempfile
from pathlib import Path

import keras

from linegate_bundle.manifest import LOGITS
from linegate_bundle.run_folder import RunFolder
from linegate_export import graph, onnx_int8, tflite_float32
from linegate_export.conversion import Artifact
from linegate_export.graph import Deployable
from linegate_export.latency import measure_latency
from linegate_export.paired import compare
from linegate_export.progress import Steps
from linegate_export.quantization import ladder
from linegate_export.quantization.options import RepairOptions
from linegate_export.saved_model import write_saved_model
from linegate_report.statistics import agreement
from linegate_training.options import Quality
from tests.benchmarks import training_deeppcb, training_elpv
from tests.benchmarks.bench import FOLDER, Result, show_progress, write
from tests.benchmarks.exported import Subject, prepare
from tests.benchmarks.runs import train_once
from tests.export import nets

_ROUNDS = 12
"""Of 30 inferences of each model in turns; their median ratio counts."""


@dataclasses.dataclass(frozen=True)
class _Row:
    """One artifact of one run."""

    data: str
    run: str
    artifact: str
    accuracy: str
    lost: int
    gained: int
    bound: float
    as_float: float


def _measure_run(data: str, run: RunFolder) -> tuple[list[_Row], float]:
    """Return the rows of a run, and how often TFLite and ONNX agree."""
    subject = prepare(run, note=print)
    quantized = ladder.quantize(subject.shop, RepairOptions(), Steps(ladder.STEPS, print))
    artifacts = {
        "float32": subject.float32,
        "int8 TFLite": quantized.artifact,
        "int8 ONNX": onnx_int8.convert(subject.model, quantized.artifact),
    }
    decisions = {name: subject.decide(one, name) for name, one in artifacts.items()}
    labels = {name: [one.label for one in each] for name, each in decisions.items()}
    rows = []
    for name, each in decisions.items():
        change = compare(
            decisions["float32"], each, subject.test.labels, subject.record.labels
        ).labels
        right = subject.right(each)
        low, high = right.interval.low, right.interval.high
        rows.append(
            _Row(
                data=data,
                run=run.path.name,
                artifact=name,
                accuracy=f"{right.share:.4f} ({low:.3f} to {high:.3f})",
                lost=change.lost,
                gained=change.gained,
                bound=change.bound,
                as_float=agreement(labels[name], labels["float32"]),
            )
        )
    return rows, agreement(labels["int8 TFLite"], labels["int8 ONNX"])


def outputs_cost(run: RunFolder) -> float:
    """Return the time with class map and embedding over that with logits alone."""
    subject = prepare(run)
    whole = graph.cut(graph.load_model(run.model), subject.record, embedding=True)
    logits = dataclasses.replace(
        whole,
        core=keras.Model(whole.core.inputs, {LOGITS: whole.core.output[LOGITS]}, name="core"),
        outputs={LOGITS: whole.outputs[LOGITS]},
    )
    artifacts = {
        name: _to_int8(model, subject) for name, model in (("all", whole), ("logits", logits))
    }
    took = [measure_latency(artifacts, subject.test.pixels) for _ in range(_ROUNDS)]
    return statistics.median(one["all"] / one["logits"] for one in took)


def _to_int8(model: Deployable, subject: Subject) -> Artifact:
    with tempfile.TemporaryDirectory(prefix="linegate-") as folder:
        write_saved_model(model, Path(folder))
        tflite = tflite_float32.convert(model, Path(folder))
    return nets.to_int8(model, tflite, subject.shop.pictures[:16])


def measure(seeds: int) -> Result:
    """Convert every run, and train those that are not there yet."""
    elpv, deeppcb = FOLDER / "elpv", FOLDER / "deeppcb"
    for folder in (elpv, deeppcb):
        folder.mkdir(parents=True, exist_ok=True)
    runs = [
        *(("ELPV", training_elpv.run_one(elpv, Quality.DEFAULT, seed)[0]) for seed in range(seeds)),
        *(
            ("DeepPCB", train_once(options)[0])
            for options in training_deeppcb.recipes(deeppcb).values()
        ),
    ]
    rows, agreements = [], []
    for data, run in runs:
        found, same = _measure_run(data, run)
        rows += found
        agreements.append(same)
    int8 = [row for row in rows if row.artifact != "float32"]
    tflite = [row for row in rows if row.artifact == "int8 TFLite"]
    mean = functools.partial(_mean_as_float, tflite)
    return Result(
        name="export-accuracy",
        protocol=__doc__ or "",
        columns=(
            "data", "run", "artifact", "accuracy (95 %)", "lost", "gained", "lost at most",
            "as float",
        ),
        rows=[dataclasses.astuple(row) for row in rows],
        figures={
            "drop_bound_points_max": 100 * max(row.bound for row in int8),
            "agreement_min": min(agreements),
            "float_agreement_elpv": mean("ELPV"),
            "float_agreement_deeppcb": mean("DeepPCB"),
            "outputs_cost": outputs_cost(runs[0][1]),
        },
    )  # fmt: skip


def _mean_as_float(rows: list[_Row], data: str) -> float:
    return statistics.mean(row.as_float for row in rows if row.data == data)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="trainings on ELPV (%(default)s)")
    show_progress()
    write(measure(parser.parse_args().seeds))


if __name__ == "__main__":
    _main()
