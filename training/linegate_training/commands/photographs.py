"""Options about photographs and their split, which training and data commands share."""

import argparse
from pathlib import Path

from linegate_training.data.split import Fractions
from linegate_training.data.split_options import NearDuplicates, SplitOptions

_DEFAULTS = SplitOptions()
DATA_HELP = (
    "folder with one sub-folder a class (or train/ and test/ with those), or a CSV file with the "
    "columns path and label, and if wanted group, split, weight, soft_label, stratum"
)


def configure_cache(group: argparse._ActionsContainer) -> None:
    """Add where to keep what is computed once an image."""
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for preprocessed images (default: linegate in the user's cache folder)",
    )


def configure_corrupt(group: argparse._ActionsContainer) -> None:
    """Add what to do with images that cannot be decoded."""
    group.add_argument(
        "--skip-corrupt",
        action="store_true",
        help="leave out images that cannot be decoded, instead of stopping",
    )


def configure_split(group: argparse._ArgumentGroup) -> None:
    """Add how the photographs are divided, all but the seed."""
    group.description = (
        "Images of one group are never divided. Say what belongs together where pictures show\n"
        "the same part or module, or the test part flatters. If nothing is said, pictures that\n"
        "look alike are a group: near duplicates, and bursts of one part. Identical files\n"
        "always stay together."
    )
    grouping = group.add_mutually_exclusive_group()
    grouping.add_argument(
        "--group-block",
        type=int,
        metavar="N",
        help="N images that follow each other by file name, over all classes, are a group",
    )
    grouping.add_argument(
        "--group-pattern",
        metavar="REGEX",
        help="the first (...) of a regular expression, found in the file name, names the group: "
        r"'^(part\d+)_'",
    )
    grouping.add_argument(
        "--split", type=Path, metavar="FILE", help="use the split.csv of another run again"
    )
    group.add_argument(
        "--new-split",
        action="store_true",
        help="divide all images anew where they come with a split of their own (folders train/ "
        "and test/, or the column split)",
    )
    group.add_argument(
        "--near-duplicates",
        type=NearDuplicates,
        choices=list(NearDuplicates),
        default=_DEFAULTS.near_duplicates,
        help="what happens to pictures that look alike: group looks for them, and groups them if "
        "no groups are given; ignore does not look (default: %(default)s)",
    )
    group.add_argument(
        "--fractions",
        type=float,
        nargs=4,
        metavar=("TRAIN", "VALIDATION", "CALIBRATION", "TEST"),
        help="share of the images for each part (default: "
        f"{_DEFAULTS.fractions.train} {_DEFAULTS.fractions.validation} "
        f"{_DEFAULTS.fractions.calibration} {_DEFAULTS.fractions.test})",
    )


def split_options(arguments: argparse.Namespace) -> SplitOptions:
    """Turn parsed arguments into options; needs ``--seed`` besides.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """
    return SplitOptions(
        group_block=arguments.group_block,
        group_pattern=arguments.group_pattern,
        split=arguments.split,
        fractions=Fractions(*arguments.fractions) if arguments.fractions else Fractions(),
        near_duplicates=arguments.near_duplicates,
        new_split=arguments.new_split,
        seed=arguments.seed,
    )
