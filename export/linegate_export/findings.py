"""What an export found out: what the report is written from."""

import dataclasses

from linegate_bundle.manifest import AccuracyReport
from linegate_bundle.run_folder import RunRecord
from linegate_export.evaluate import Score
from linegate_export.measured import Measured
from linegate_export.pictures import Pictures
from linegate_export.policy import PolicyTargets
from linegate_export.quantization.recipe import Attempt
from linegate_export.summary import Summary

FLOAT32 = "float32"
INT8_TFLITE = "int8 TFLite"
INT8_ONNX = "int8 ONNX"


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that a report tells.

    Attributes:
        summary: the figures.
        accuracy: the figures as the manifest has them.
        record: the run that was exported.
        test: the test pictures.
        scores: every artifact on them by its title, float32 first, then int8 TFLite, which the
            pictures and the histogram show, and int8 ONNX.
        targets: what the thresholds were chosen for.
        engine_spread: largest difference of a logit between int8 TFLite and int8 ONNX.
        images: pictures by part of the split.
        versions: of the libraries that took part.
        flips: places of the test pictures that do not get one label from all artifacts, those
            whose defect probability changes most first.
    """

    summary: Summary
    accuracy: AccuracyReport
    record: RunRecord
    test: Pictures
    scores: dict[str, Score]
    targets: PolicyTargets
    engine_spread: float
    images: dict[str, int]
    versions: dict[str, str]

    @property
    def taken(self) -> Attempt | None:
        """The int8 model that was taken; None if nothing is known about it."""
        return next((one for one in self.summary.attempts if one.taken), None)

    @property
    def flips(self) -> list[int]:
        """See the class."""
        labels = zip(*(score.labels for score in self.scores.values()), strict=True)
        flipped = [place for place, given in enumerate(labels) if len(set(given)) > 1]
        before, after = (
            score.evaluation.defect_probability(self.record.labels)
            for score in (self.float32, self.tflite)
        )
        return sorted(flipped, key=lambda place: -abs(before[place] - after[place]))

    @property
    def float32(self) -> Score:
        """The float model on the test pictures."""
        return self.scores[FLOAT32]

    @property
    def tflite(self) -> Score:
        """int8 TFLite on the test pictures."""
        return self.scores[INT8_TFLITE]

    @property
    def table(self) -> tuple[tuple[str, Measured], ...]:
        """Every artifact's figures by its title."""
        test = self.summary.test
        return (
            (FLOAT32, test.float32),
            (INT8_TFLITE, test.int8_tflite),
            (INT8_ONNX, test.int8_onnx),
            *test.further.items(),
        )
