"""A trained run, converted and measured on its test part; what benchmarks of the export share."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from linegate_bundle.decide import Decision
from linegate_bundle.manifest import DecisionPolicy, VoteMethod, VotePolicy
from linegate_bundle.run_folder import Part, RunFolder, RunRecord, SplitRow, read_split
from linegate_export import graph, onnx_float32, tflite_float32
from linegate_export.conversion import Artifact
from linegate_export.evaluate import evaluate
from linegate_export.graph import Deployable
from linegate_export.measured import Rate, rate
from linegate_export.pictures import (
    Pictures,
    choose_for_int8,
    load_pictures,
)
from linegate_export.quantization.fidelity import Judge
from linegate_export.quantization.recipe import Workshop
from linegate_export.saved_model import write_saved_model

MIDDLE = DecisionPolicy(
    accept_at_most=0.4999,
    reject_at_least=0.5,
    vote=VotePolicy(method=VoteMethod.MEAN_LOG_ODDS, frames=1, needed=None),
)
"""Thresholds that leave nothing unsure."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run with its float model, ready to be made int8.

    Attributes:
        record: of the run.
        model: as cut for the device.
        tflite: its float graph.
        float32: the same as ONNX.
        shop: where int8 models are made.
        test: the test part.
    """

    record: RunRecord
    model: Deployable
    tflite: bytes
    float32: Artifact
    shop: Workshop
    test: Pictures

    def decide(self, artifact: Artifact, title: str) -> tuple[Decision, ...]:
        """Run an artifact over the test part."""
        evaluation = evaluate(artifact, self.test.pixels, self.record.activation, title)
        return evaluation.decisions(self.record.labels, MIDDLE)

    def right(self, decisions: Iterable[Decision]) -> Rate:
        """Count the labels that are right."""
        pairs = zip(decisions, self.test.labels, strict=True)
        return rate(sum(one.label == truth for one, truth in pairs), len(self.test))


def prepare(
    run: RunFolder,
    change: Callable[[bytes], bytes] = lambda tflite: tflite,
    note: Callable[[str], None] = lambda _: None,
) -> Subject:
    """Read a run and convert its float model.

    Args:
        run: the run; its pictures are where they were trained.
        change: applied to the float graph.
        note: told what is tried.
    """
    record, rows = run.read_record(), read_split(run.split)

    def load(chosen: Iterable[SplitRow], title: str) -> Pictures:
        return load_pictures(chosen, Path(record.data), record.preprocess, title)

    representative, held_out = choose_for_int8(rows)
    model = graph.cut(graph.load_model(run.model), record)
    with tempfile.TemporaryDirectory(prefix="linegate-") as folder:
        write_saved_model(model, Path(folder))
        tflite = change(tflite_float32.convert(model, Path(folder)))
    float32 = onnx_float32.convert(model, tflite)
    judge = Judge(float32, load(held_out, "held out").pixels, record.labels, record.activation)
    shop = Workshop(model, tflite, load(representative, "representative").pixels, judge, note)
    test = load((row for row in rows if row.part is Part.TEST), "test")
    return Subject(record, model, tflite, float32, shop, test)
