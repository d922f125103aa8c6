"""Running ``linegate`` as a user would: as a command, in the environment it belongs to."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from linegate_bundle.errors import ConfigError, LinegateError


class StepError(LinegateError):
    """A command of the demo failed."""

    def __init__(self, command: Sequence[str], exit_code: int) -> None:
        super().__init__(
            f"`{shlex.join(command)}` ended with exit code {exit_code}; its own message stands "
            "above, and `linegate --help` explains the code"
        )
        self.exit_code = exit_code


def workstation_command() -> Path:
    """Return the ``linegate`` of the running environment."""
    return command_beside(Path(sys.executable))


def command_beside(python: Path) -> Path:
    """Return the ``linegate`` of the environment that a Python interpreter belongs to.

    Raises:
        ConfigError: there is none.
    """
    command = python.parent / "linegate"
    if not command.is_file():
        raise ConfigError(
            f"expected the command linegate beside {python}, found none; install linegate-runtime "
            "there, or let `make demo` set everything up"
        )
    return command


def run(command: Sequence[str]) -> None:
    """Run a command with its output on this terminal; raise :class:`StepError` if it fails."""
    sys.stdout.write(f"    $ {shlex.join(command)}\n")
    sys.stdout.flush()
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise StepError(command, done.returncode)


def read(command: Sequence[str]) -> bytes:
    """Run a command and return what it prints; raise :class:`StepError` if it fails."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    if done.returncode:
        raise StepError(command, done.returncode)
    return done.stdout
