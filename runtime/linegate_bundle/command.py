"""What a subcommand of ``linegate`` is; any distribution can add some.

The runtime's own commands stand in :mod:`linegate_runtime.cli`; others are found
through the entry-point group ``linegate.commands``, each naming a
:class:`Command`.
"""

import argparse
import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        name: the word after ``linegate``.
        help: one line for ``linegate --help``.
        description: what it does, for the command's own help.
        configure: adds the options to the command's parser.
        run: does the work and returns the exit code; raises
            :class:`~linegate_bundle.errors.LinegateError` for what is not a bug.
    """

    name: str
    help: str
    description: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
