"""``linegate explain``: what a model looks at in pictures."""

import argparse
import logging
from pathlib import Path

from linegate_bundle.command import Command
from linegate_bundle.errors import DataError
from linegate_bundle.native_log import captured_native_log
from linegate_training.tensorflow_switches import set_switches

_LOG = logging.getLogger(__name__)
_MOST_IMAGES = 50
_DESCRIPTION = f"""\
Show what a model looks at: the filters of its first layer, the feature maps after each
convolution and pooling, and a heat map of what speaks for its decision.

MODEL is a run folder (the float model, in Keras) or a .linegate file (the int8 model that
the device runs). Writes PNG files and one page, explain.html, that needs no other file.
At most {_MOST_IMAGES} images at a time.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder or .linegate file")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the page and pictures"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the page if it is there already"
    )


def _run(arguments: argparse.Namespace) -> int:
    images = arguments.images
    if len(images) > _MOST_IMAGES:
        raise DataError(
            f"expected at most {_MOST_IMAGES} images, got {len(images)}; a page with more is slow "
            "to open, explain them in several calls"
        )
    set_switches()
    with captured_native_log():  # TensorFlow greets whatever its switches say
        from linegate_training.explain import page  # noqa: PLC0415 - imports OpenCV and jinja2
        from linegate_training.explain.open import open_source  # noqa: PLC0415 - see above
        from linegate_training.explain.source import explain  # noqa: PLC0415 - see above

    from linegate_bundle.images import read_image  # noqa: PLC0415 - imports OpenCV

    with page.new_folder(arguments.out, replace=arguments.force):
        frames = [read_image(path) for path in images]
        source = open_source(arguments.model)
        explained = [
            page.Explained(path, explain(source, frame))
            for path, frame in zip(images, frames, strict=True)
        ]
        _LOG.info("wrote %s", page.write_explanations(arguments.out, source, explained))
    return 0


COMMAND = Command(
    name="explain",
    help="show what a model looks at in pictures",
    description=_DESCRIPTION,
    configure=_configure,
    run=_run,
)
