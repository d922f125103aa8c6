"""``linegate train``: from a folder of photographs to a trained model."""

import argparse
import re
from pathlib import Path

from linegate_bundle.command import Command
from linegate_bundle.manifest import Colour, Fit, Resize
from linegate_bundle.native_log import captured_native_log
from linegate_training.commands.fitting import configure_fitting, fitting_options
from linegate_training.commands.photographs import (
    DATA_HELP,
    configure_cache,
    configure_corrupt,
    configure_split,
    split_options,
)
from linegate_training.networks.names import NETWORKS
from linegate_training.options import CorruptImages, ExistingRun, Head, TrainOptions
from linegate_training.tensorflow_switches import set_switches

_DEFAULTS = TrainOptions(data=Path(), out=Path())
_DESCRIPTION = """\
Learn from a folder of photographs that holds one sub-folder a class, such as

  photographs/good/*.png
  photographs/scratched/*.png

or from a CSV file with one row an image (columns path and label), and write a run
folder with the trained model for `linegate export`. The images are divided into four
parts: train fits the weights, validation stops the training, calibration sets
thresholds later, test is only reported by the export.

With pretrained weights, the head is fitted on frozen features first, then the last
layers are fine-tuned; without, the whole network is trained.

After every epoch the state is kept in RUN.unfinished. If the training is interrupted,
the same command goes on where it was.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="run folder to write"
    )
    parser.add_argument("--name", help="name of the model (default: that of the data folder)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the run folder if it is there already, and discard an unfinished training "
        "with other settings",
    )
    _configure_network(parser.add_argument_group("network"))
    _configure_data(parser.add_argument_group("photographs"))
    configure_split(parser.add_argument_group("split"))
    configure_fitting(parser)


def _configure_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--network",
        default=_DEFAULTS.network,
        metavar="NAME|MODULE:FUNCTION",
        help=f"the network to train: {', '.join(NETWORKS)}; or a function of Keras, such as "
        "keras.applications:EfficientNetB0, or of your own, such as my_net:build in the current "
        "folder, that takes normalized images and returns features (default: %(default)s)",
    )
    group.add_argument(
        "--alpha",
        type=float,
        metavar="FACTOR",
        help="width of the network in relation to the published one, such as 0.35 for mobilenet_v2",
    )
    group.add_argument(
        "--head",
        type=Head,
        choices=list(Head),
        help="what follows the last map of features: published has the hidden layers of the "
        "publication, pooled is small and comes with a map that shows where the evidence is "
        "(default: pooled with pretrained weights, published without)",
    )
    group.add_argument(
        "--weights",
        metavar="imagenet|none|FILE",
        help="where the network starts: its ImageNet weights, random ones, or those of a file: "
        ".pth or .h5 as published (without top), .keras of another run (default: imagenet if the "
        "network has such weights; some are downloaded by Keras)",
    )
    group.add_argument(
        "--size",
        type=_size,
        metavar="N|WIDTHxHEIGHT",
        help="size of the network's input in pixels (default: the network's own)",
    )
    group.add_argument(
        "--colour",
        type=Colour,
        choices=list(Colour),
        help="channels of the network's input (default: the network's own)",
    )
    group.add_argument(
        "--resize",
        type=Resize,
        choices=list(Resize),
        default=_DEFAULTS.resize,
        help="how images are brought to that size; the second averages whole blocks of pixels of "
        "large images first (default: %(default)s)",
    )
    group.add_argument(
        "--fit",
        type=Fit,
        choices=list(Fit),
        default=_DEFAULTS.fit,
        help="what happens to images of another shape (default: %(default)s)",
    )


def _configure_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--good",
        action="append",
        default=[],
        metavar="CLASS",
        help="a class of good parts, all others are defects; once for each (default: found by "
        "usual names, such as good, ok, functional, normal, pass)",
    )
    configure_corrupt(group)
    configure_cache(group)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected N or WIDTHxHEIGHT in pixels, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def parse_options(arguments: argparse.Namespace) -> TrainOptions:
    """Turn parsed arguments into options.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """
    splitting = split_options(arguments)
    return TrainOptions(
        data=arguments.data,
        out=arguments.out,
        name=arguments.name,
        network=arguments.network,
        alpha=arguments.alpha,
        head=arguments.head,
        weights=arguments.weights,
        size=arguments.size,
        colour=arguments.colour,
        resize=arguments.resize,
        fit=arguments.fit,
        good=tuple(arguments.good),
        group_block=splitting.group_block,
        group_pattern=splitting.group_pattern,
        split=splitting.split,
        fractions=splitting.fractions,
        near_duplicates=splitting.near_duplicates,
        cache=arguments.cache,
        corrupt_images=CorruptImages.SKIP if arguments.skip_corrupt else CorruptImages.REFUSE,
        existing_run=ExistingRun.REPLACE if arguments.force else ExistingRun.REFUSE,
        **fitting_options(arguments),
    )


def _run(arguments: argparse.Namespace) -> int:
    options = parse_options(arguments)
    set_switches()
    with captured_native_log():  # TensorFlow greets whatever its switches say
        from linegate_training.run import train  # noqa: PLC0415 - imports TensorFlow

    train(options)
    return 0


COMMAND = Command(
    name="train",
    help="learn from a folder of photographs",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
