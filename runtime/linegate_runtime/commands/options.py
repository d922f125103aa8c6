"""Options that several commands share."""

import argparse
from pathlib import Path

import linegate_runtime
from linegate_bundle.bundle import Bundle
from linegate_runtime.commands.arguments import positive_integer
from linegate_runtime.engine_names import DEFAULT_ENGINE


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the argument BUNDLE."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the .linegate file")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options --engine and --threads."""
    parser.add_argument(
        "--engine",
        default=DEFAULT_ENGINE,
        metavar="NAME",
        help="tflite, onnx or an added engine (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=1,
        metavar="N",
        help="threads of one inference (default: %(default)s)",
    )


def open_bundle(path: Path) -> Bundle:
    """Open a bundle for this release of the runtime."""
    return Bundle.open(path, linegate_runtime.__version__)
