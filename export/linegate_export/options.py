"""What an export can be told; nothing here needs TensorFlow."""

import dataclasses
import enum
from pathlib import Path

from linegate_export.gate import GateLimits
from linegate_export.policy import PolicyTargets
from linegate_export.quantization.options import RepairOptions


class Further(enum.StrEnum):
    """Models that a bundle can hold beside those in int8."""

    FLOAT32_ONNX = "float32.onnx"
    FLOAT32_TFLITE = "float32.tflite"
    FLOAT16_TFLITE = "float16.tflite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export, where to, and what it must reach.

    Attributes:
        run: the run folder.
        out: folder for the bundle and its report; made if it is not there.
        version: of the bundle, ``X.Y.Z``.
        name: of the bundle; None takes the run's.
        data: folder of the pictures; None takes the one of the training.
        figures: folder for the key figure as PNG; None makes none.
        limits: what the gate lets through.
        targets: what the thresholds must reach.
        repair: when int8 is repaired before the gate sees it.
        further: models to put into the bundle too.
        embedding: give the pooled features as an output too.
        interop: also write a TFLite file for other programs, such as MediaPipe.
        force: replace files that are there already.
    """

    run: Path
    out: Path
    version: str = "1.0.0"
    name: str | None = None
    data: Path | None = None
    figures: Path | None = None
    limits: GateLimits = dataclasses.field(default_factory=GateLimits)
    targets: PolicyTargets = dataclasses.field(default_factory=PolicyTargets)
    repair: RepairOptions = dataclasses.field(default_factory=RepairOptions)
    further: tuple[Further, ...] = ()
    embedding: bool = False
    interop: bool = False
    force: bool = False
