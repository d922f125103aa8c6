"""``linegate export``: a run folder becomes a bundle, if it passes the accuracy gate."""

import argparse
import os
import sys
from pathlib import Path

from linegate_bundle.command import Command
from linegate_bundle.native_log import captured_native_log
from linegate_export.gate import GateLimits
from linegate_export.options import ExportOptions, Further
from linegate_export.policy import PolicyTargets
from linegate_export.quantization.options import Repair, RepairOptions

_DESCRIPTION = """\
Convert a trained model to int8 TFLite and int8 ONNX, run both on the test
pictures exactly as a device will, and compare them with the float model.

If they pass, three files are written to DIR:
  NAME-VERSION.linegate       the bundle: all that a device needs, in one file
  NAME-VERSION.report.html    for people: figures, pictures, errors; needs no network
  NAME-VERSION.accuracy.json  for machines: the same figures
If they do not, the exit code is 10 and there is no bundle, only the report.

Exporting a run twice gives the same bundle, byte for byte; times are told beside it only.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder of `linegate train`")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder for the results"
    )
    parser.add_argument(
        "--version", metavar="X.Y.Z", default="1.0.0", help="version of the bundle (%(default)s)"
    )
    parser.add_argument("--name", help="name of the bundle (the run's name)")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder of the pictures, if they have moved"
    )
    parser.add_argument(
        "--with",
        dest="further",
        metavar="MODEL",
        action="append",
        choices=list(Further),
        type=Further,
        default=[],
        help="put a float model into the bundle too: float32.onnx, float32.tflite or "
        "float16.tflite; may be given several times",
    )
    parser.add_argument(
        "--embedding",
        action="store_true",
        help="let the models give the pooled features as an output too",
    )
    parser.add_argument(
        "--interop",
        action="store_true",
        help="also write NAME-VERSION.interop.tflite, which other programs open (MediaPipe)",
    )
    parser.add_argument(
        "--figures", metavar="DIR", type=Path, help="also save the key figure as PNG there"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace existing results; a failed gate then takes the old bundle away",
    )
    _add_gate(parser.add_argument_group("the gate (shares: 0.01 is 1 %)"))
    _add_repair(parser.add_argument_group("int8 (before the gate sees it)"))
    _add_policy(parser.add_argument_group("the decision (rates on the calibration part)"))


def _add_gate(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--max-accuracy-loss",
        metavar="SHARE",
        type=float,
        default=GateLimits.maximum_accuracy_loss,
        help="95%% bound of what each other model loses against float on the test part "
        "(%(default)s)",
    )
    group.add_argument(
        "--max-new-escapes",
        metavar="SHARE",
        type=float,
        default=GateLimits.maximum_new_escapes,
        help="95%% bound of the defects that another model accepts and float does not "
        "(%(default)s)",
    )
    group.add_argument(
        "--max-class-loss",
        metavar="SHARE",
        type=float,
        default=GateLimits.maximum_class_loss,
        help="recall that a class may lose (%(default)s); one picture always may be lost",
    )
    group.add_argument(
        "--max-auc-loss",
        metavar="SHARE",
        type=float,
        default=GateLimits.maximum_auc_loss,
        help="what each other model may lose of the area under the ROC curve (%(default)s)",
    )
    group.add_argument(
        "--min-agreement",
        metavar="SHARE",
        type=float,
        default=GateLimits.minimum_agreement,
        help="test pictures on which int8 TFLite and int8 ONNX must give one label (%(default)s)",
    )


def _add_repair(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--repair",
        choices=list(Repair),
        type=Repair,
        default=RepairOptions.repair,
        help="auto: where int8 does not answer like float, try what repairs it, one means after "
        "the other (%(default)s)",
    )
    group.add_argument(
        "--min-fidelity",
        metavar="SHARE",
        type=float,
        default=RepairOptions.minimum_fidelity,
        help="held-out pictures that int8 must give the float model's label, else it is repaired "
        "(%(default)s)",
    )


def _add_policy(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--max-escape-rate",
        metavar="SHARE",
        type=float,
        default=PolicyTargets.maximum_escape_rate,
        help="share of the defects that may be accepted (%(default)s)",
    )
    group.add_argument(
        "--max-false-reject-rate",
        metavar="SHARE",
        type=float,
        default=PolicyTargets.maximum_false_reject_rate,
        help="share of the good parts that may be rejected (%(default)s)",
    )
    group.add_argument(
        "--confidence",
        metavar="SHARE",
        type=float,
        default=PolicyTargets.confidence,
        help="confidence with which these rates are proven (%(default)s)",
    )
    group.add_argument(
        "--every-class",
        action="store_true",
        help="prove the escape rate for every class of defects, as far as it has pictures enough",
    )
    group.add_argument(
        "--vote-frames",
        metavar="N",
        type=int,
        default=PolicyTargets.vote_frames,
        help="frames of a part that are voted into one verdict (%(default)s)",
    )
    group.add_argument(
        "--vote-needed",
        metavar="K",
        type=int,
        default=PolicyTargets.vote_needed,
        help="judge each frame, and let K of them reject a part "
        "(default: judge the mean of their log-odds)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export and say what came out."""
    # TensorFlow reads it when it is imported; it says nothing that a user could act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _write("Loading TensorFlow")
    with captured_native_log():  # TensorFlow greets whatever its switches say
        from linegate_export.exporter import export  # noqa: PLC0415 - takes seconds

    options = ExportOptions(
        run=arguments.run,
        out=arguments.out,
        version=arguments.version,
        name=arguments.name,
        data=arguments.data,
        figures=arguments.figures,
        limits=GateLimits(
            maximum_accuracy_loss=arguments.max_accuracy_loss,
            maximum_new_escapes=arguments.max_new_escapes,
            maximum_class_loss=arguments.max_class_loss,
            maximum_auc_loss=arguments.max_auc_loss,
            minimum_agreement=arguments.min_agreement,
        ),
        targets=PolicyTargets(
            maximum_escape_rate=arguments.max_escape_rate,
            maximum_false_reject_rate=arguments.max_false_reject_rate,
            confidence=arguments.confidence,
            every_class=arguments.every_class,
            vote_frames=arguments.vote_frames,
            vote_needed=arguments.vote_needed,
        ),
        repair=RepairOptions(repair=arguments.repair, minimum_fidelity=arguments.min_fidelity),
        further=tuple(arguments.further),
        embedding=arguments.embedding,
        interop=arguments.interop,
        force=arguments.force,
    )
    result = export(options, _write)
    test = result.summary.test
    for title, measured in (
        ("float32", test.float32),
        ("int8 TFLite", test.int8_tflite),
        ("int8 ONNX", test.int8_onnx),
        *test.further.items(),
    ):
        right = measured.accuracy
        _write(
            f"{title:14} {100 * right.share:5.1f} % right ({100 * right.interval.low:.1f} to "
            f"{100 * right.interval.high:.1f}), macro-F1 {measured.macro_f1.value:.3f}, "
            f"AUC {measured.auc.value:.3f}"
        )
    for attempt in result.summary.attempts:
        if attempt.taken and attempt.float_operators:
            _write(
                f"{attempt.float_operators} operators of the int8 models compute in float, for "
                "int8 alone did not answer like the float model"
            )
    _write(f"TFLite and ONNX agree on {100 * test.agreement_tflite_onnx:.2f} % of {test.n}")
    for path in result.outputs.paths:
        _write(str(path))
    return 0


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


COMMAND = Command(
    name="export",
    help="turn a trained run into a bundle that passed its accuracy gate",
    description=_DESCRIPTION,
    configure=configure,
    run=run,
)
