"""Does the ladder repair what plain int8 ruins?

Protocol: nets are trained on crops of DeepPCB (its own train and test folders, seven classes)
and converted to int8 twice: plainly, as TensorFlow's converter does it with the smallest and
largest value of 128 pictures, and with the ladder. Both are held against the float model on the
4,395 test crops. Plain int8 has collapsed if the one-sided 95 % bound of the accuracy that it
loses is above the gate's 1.5 points, or no engine runs it; it is repaired if that of the ladder's
int8 is not. Each net at each scale counts as one.

Nets that were trained from nothing have tame channels. Pretrained ones often have not, and those
cannot be had without network; so each net is also measured with its channels scaled by factors
between 30 and 1/30 (and 1,000 and 1/1,000), drawn evenly in the logarithm, and scaled back by the
layers that read them: what the float model computes is the same.
"""

import argparse
import dataclasses
import functools
from pathlib import Path

from linegate_bundle.errors import EngineError
from linegate_bundle.run_folder import RunFolder
from linegate_export.gate import GateLimits
from linegate_export.paired import compare
from linegate_export.progress import Steps
from linegate_export.quantization import ladder
from linegate_export.quantization.options import RepairOptions
from linegate_export.quantization.recipe import Means, Recipe
from linegate_training.options import TrainOptions
from tests.benchmarks.bench import FOLDER, Result, show_progress, write
from tests.benchmarks.exported import Subject, prepare
from tests.benchmarks.runs import train_once
from tests.benchmarks.training_deeppcb import recipes
from tests.export.nets import scale_channels

_PLAIN_PICTURES = 128
_LIMIT = GateLimits().maximum_accuracy_loss


@dataclasses.dataclass(frozen=True)
class _Case:
    """A net, how far its channels are scaled apart, and what became of it in int8."""

    net: str
    largest: float
    float_share: float
    plain_share: float | None
    plain_bound: float
    means: str
    share: float
    bound: float

    @property
    def collapsed(self) -> bool:
        return self.plain_bound > _LIMIT

    @property
    def repaired(self) -> bool:
        return self.collapsed and self.bound <= _LIMIT


def trainings(folder: Path) -> dict[str, TrainOptions]:
    """Return what is trained, by name; two are those of the training's benchmark."""
    known = recipes(folder)
    return {
        "basic_cnn": known["basic_cnn"],
        "mobilenet_v3_small": known["best"],
        "EfficientNetB0": dataclasses.replace(
            known["best"],
            out=folder / "efficientnet_b0",
            network="keras.applications:EfficientNetB0",
            size=(64, 64),
            epochs=8,
        ),
    }


def _measure_case(net: str, run: RunFolder, largest: float) -> _Case:
    change = functools.partial(scale_channels, largest=largest)
    subject = prepare(run, change if largest > 1 else bytes, print)
    exact = subject.decide(subject.float32, "float32")
    observed = subject.shop.observe(subject.tflite)
    ranges = observed.min_max(range(_PLAIN_PICTURES))
    plain = subject.shop.make(Recipe(Means.CALIBRATION, "plain", subject.tflite, ranges))
    quantized = ladder.quantize(subject.shop, RepairOptions(), Steps(ladder.STEPS, print))
    plain_share, plain_bound = None, 1.0
    try:
        decisions = subject.decide(plain, "plain int8")
        plain_share, plain_bound = subject.right(decisions).share, _bound(subject, exact, decisions)
    except EngineError as error:
        print(error)  # noqa: T201 - a benchmark tells what it finds
    decisions = subject.decide(quantized.artifact, "int8")
    return _Case(
        net=net,
        largest=largest,
        float_share=subject.right(exact).share,
        plain_share=plain_share,
        plain_bound=plain_bound,
        means=str(quantized.recipe.means),
        share=subject.right(decisions).share,
        bound=_bound(subject, exact, decisions),
    )


def _bound(subject: Subject, first: tuple, second: tuple) -> float:  # type: ignore[type-arg]
    return compare(first, second, subject.test.labels, subject.record.labels).labels.bound


def measure(folder: Path, names: list[str]) -> Result:
    """Train what is not there yet, then convert and compare."""
    cases = []
    for name, options in trainings(folder).items():
        if name not in names:
            continue
        run, _ = train_once(options)
        cases += [_measure_case(name, run, largest) for largest in (1.0, 30.0, 1000.0)]
    return Result(
        name="export-repair",
        protocol=__doc__ or "",
        columns=(
            "net", "channels", "float", "plain int8", "lost at most", "repaired by", "int8",
            "lost at most",
        ),
        rows=[
            (
                case.net,
                f"x {case.largest:g}",
                case.float_share,
                "refused" if case.plain_share is None else case.plain_share,
                case.plain_bound,
                case.means,
                case.share,
                case.bound,
            )
            for case in cases
        ],
        figures={
            "collapsed_nets": sum(case.collapsed for case in cases),
            "repaired_nets": sum(case.repaired for case in cases),
            "worst_drop_points_after": 100 * max(case.float_share - case.share for case in cases),
            "worst_drop_bound_points_after": 100 * max(case.bound for case in cases),
        },
    )  # fmt: skip


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*")
    show_progress()
    folder = FOLDER / "deeppcb"
    folder.mkdir(parents=True, exist_ok=True)
    write(measure(folder, parser.parse_args().nets or list(trainings(folder))))


if __name__ == "__main__":
    _main()
