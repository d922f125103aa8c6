"""The options of ``linegate train`` that say how to fit."""

import argparse
import contextlib
import dataclasses
import re
from pathlib import Path
from typing import Any

from linegate_training.augment.augmentation import Augmentation
from linegate_training.options import Balance, Cost, Monitor, Precision, Quality, TrainOptions

_DEFAULTS = TrainOptions(data=Path(), out=Path())
_STRENGTHS = {
    "shift": ("SHARE", "move the content by up to this share of the side"),
    "scale": ("SHARE", "let it grow or shrink by up to this share"),
    "rotation": ("DEGREES", "turn it by up to so many degrees"),
    "brightness": ("SHARE", "add or take up to this share of white"),
    "contrast": ("SHARE", "stretch or squeeze differences from the mean by up to this share"),
    "blur": ("PIXELS", "blur with a Gaussian of up to this standard deviation"),
    "noise": ("LEVELS", "add noise of up to this standard deviation in grey levels"),
    "cutout": ("SHARE", "cover a square of this share of the shorter side"),
    "jpeg": ("LOSS", "code as JPEG with a quality of 100 down to 100 - LOSS"),
}


def configure_fitting(parser: argparse.ArgumentParser) -> None:
    """Add the options of fitting and augmentation to a parser."""
    _configure_schedule(parser.add_argument_group("training"))
    _configure_loss(parser.add_argument_group("what counts"))
    _configure_augmentation(parser.add_argument_group("augmentation"))


def fitting_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Turn parsed arguments into the options of fitting.

    Raises:
        ConfigError: a strength of the augmentation is out of range.
    """
    strengths = {name: getattr(arguments, name) for name in _STRENGTHS}
    same_name = (
        "quality", "epochs", "batch_size", "learning_rate", "head_rate", "weight_decay", "average",
        "monitor", "patience", "fine_tune_after", "variants", "label_smoothing", "balance",
        "precision", "tensorboard", "seed",
    )  # fmt: skip
    return {
        **{name: getattr(arguments, name) for name in same_name},
        "costs": tuple(arguments.cost),
        "augmentation": Augmentation(flips=arguments.flips, turns=arguments.turns, **strengths),
    }


def _configure_schedule(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--quality",
        type=Quality,
        choices=list(Quality),
        default=_DEFAULTS.quality,
        help="best trains more layers for longer, on more variants and with a moving average, and "
        "takes several times as long (default: %(default)s)",
    )
    group.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="most passes over the train part; 0 fits the head alone (default: 8 with pretrained "
        "weights, 40 without; best: 16 and 120)",
    )
    group.add_argument(
        "--monitor",
        type=Monitor,
        choices=list(Monitor),
        default=_DEFAULTS.monitor,
        help="the score on the validation part whose best weights are kept (default: %(default)s)",
    )
    group.add_argument(
        "--fine-tune-after",
        metavar="LAYER",
        help="train the layers after this one, keep those up to it (default: the network's own)",
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="highest rate of the cosine schedule (default: 3e-4 with pretrained weights, 1e-3 "
        "without)",
    )
    group.add_argument(
        "--precision",
        type=Precision,
        choices=list(Precision),
        default=_DEFAULTS.precision,
        help="of the arithmetic in training; mixed is for a GPU (default: %(default)s: mixed "
        "where there is one)",
    )
    group.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="write event files for TensorBoard there",
    )
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs without a better score (default: 5 with pretrained weights, 10 "
        "without)",
    )
    group.add_argument(
        "--average",
        type=float,
        metavar="EPOCHS",
        help="keep a moving average of the weights that reaches so far back; 0 is none (default: "
        "none with pretrained weights, 0.5 without)",
    )
    group.add_argument(
        "--variants",
        type=int,
        metavar="N",
        help="variants of each image that are kept for fine-tuning (default: 4, best: 8)",
    )
    _add(group, "batch-size", int, "N", "images a step")
    _add(group, "head-rate", float, "FACTOR", "the head learns so many times as fast")
    _add(group, "weight-decay", float, "RATE", "decoupled decay of the weights")
    _add(group, "seed", int, "N", "of the split and of all that is random in the training")


def _configure_loss(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--balance",
        type=Balance,
        choices=list(Balance),
        default=_DEFAULTS.balance,
        help="let rare classes count more, or show them more often; finds more of them and costs "
        "accuracy (default: %(default)s)",
    )
    group.add_argument(
        "--cost",
        type=_cost,
        action="append",
        default=[],
        metavar="CLASS:GIVEN=COST",
        help="what it costs to take CLASS for GIVEN, such as crack:good=5; once for each error "
        "(default: 1)",
    )
    _add(
        group, "label-smoothing", float, "SHARE", "share of a label that is spread over all classes"
    )


def _configure_augmentation(group: argparse._ArgumentGroup) -> None:
    group.description = (
        "Images are shown in variants. Each strength is the most that is drawn; 0 switches it\n"
        "off. By default nothing hides a defect: what moves it out of the picture, covers or\n"
        "smears it must be asked for."
    )
    group.add_argument(
        "--flips",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="mirror (default: yes)",
    )
    group.add_argument(
        "--turns",
        action=argparse.BooleanOptionalAction,
        help="turn by quarters (default: where the input is square)",
    )
    for field in dataclasses.fields(Augmentation):
        if field.name in _STRENGTHS:
            metavar, text = _STRENGTHS[field.name]
            group.add_argument(
                f"--{field.name}",
                type=float,
                default=field.default,
                metavar=metavar,
                help=f"{text} (default: %(default)s)",
            )


def _add(group: argparse._ArgumentGroup, name: str, kind: type, metavar: str, text: str) -> None:
    default = getattr(_DEFAULTS, name.replace("-", "_"))
    group.add_argument(
        f"--{name}",
        type=kind,
        default=default,
        metavar=metavar,
        help=f"{text} (default: %(default)s)",
    )


def _cost(text: str) -> Cost:
    match = re.fullmatch(r"(.+):(.+)=(.+)", text)
    with contextlib.suppress(ValueError):
        if match is not None:
            return Cost(match[1], match[2], float(match[3]))
    raise argparse.ArgumentTypeError(f"expected CLASS:GIVEN=COST, got {text!r}")
