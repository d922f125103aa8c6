"""The command ``linegate``: finds the subcommand, runs it, turns errors into messages."""

import argparse
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence

import linegate_runtime
from linegate_bundle.command import Command
from linegate_bundle.errors import LinegateError, OutputError
from linegate_runtime.capture_child_start import Child
from linegate_runtime.logs import is_json_wanted, set_up_log

_LOG = logging.getLogger(__name__)

GROUP = "linegate.commands"
"""Entry-point group through which other distributions add subcommands."""

_BUILTIN = {
    name: f"linegate_runtime.commands.{name}"
    for name in ("run", "classify", "bench", "doctor", "inspect", "log", "verify")
}

_EXIT_CODES = """\
exit codes:
  0  done
  1  a bug in linegate; --debug shows where
  2  wrong options
  3  the bundle is damaged, altered or of another version
  4  the configuration is wrong
  5  the camera cannot be opened or gives no frames
  6  the inference engine is missing, fails or differs from the golden outputs
  7  the record, an output or another file cannot be written
  8  photographs, split or run folder are not usable
  9  training cannot go on
 10  the accuracy gate said no
130  interrupted
141  whoever read the output has gone
"""


def main(arguments: Sequence[str] | None = None, child: Child | None = None) -> int:
    """Run ``linegate`` and return its exit code.

    Args:
        arguments: without the program's name; those of this process if None.
        child: a camera's process for the command ``run``, started beforehand.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    set_up_log(debug=debug, as_json="--log-json" in arguments)
    try:
        options = _parser(_commands(arguments)).parse_args(arguments)
        options.child = child
        command: Command = options.command
        code = command.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("linegate: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is nobody to tell.
        _drop_output()
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into messages
        code = _report(error, debug=debug)
        try:
            sys.stdout.flush()
        except OSError:
            # Else Python tries it again at its end, and some versions end with a code of their own.
            _drop_output()
        return code
    return code


def _drop_output() -> None:
    """Write what is still to be written to the standard output, and all further, to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, LinegateError):
        message, code = str(error), error.exit_code
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message, code = f"{where}{error.strerror or error}", OutputError.exit_code
    else:
        message = f"a bug in linegate: {type(error).__name__}: {error}"
        message += "" if debug else "; run `linegate --debug ...` and report what it prints"
        code = LinegateError.exit_code
    if is_json_wanted():
        _LOG.error("%s", message, extra={"fields": {"event": "error", "exit_code": code}})
    else:
        sys.stderr.write(f"linegate: error: {message}\n")
    return code


def _parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="linegate",
        description="A gate on a production line: accept, reject or unsure, part by part.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"linegate {linegate_runtime.__version__}"
    )
    parser.add_argument("--debug", action="store_true", help="log details, show tracebacks")
    parser.add_argument(
        "--log-json", action="store_true", help="log as one JSON object a line, for programs"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        subparser = subparsers.add_parser(
            command.name,
            help=command.help,
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(subparser)
        # These two may stand behind the command as well.
        for option in ("--debug", "--log-json"):
            subparser.add_argument(
                option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )
        subparser.set_defaults(command=command)
    return parser


def _commands(arguments: Sequence[str]) -> list[Command]:
    """Return the commands that the parser needs: only the one asked for, if there is such."""
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    if asked in _BUILTIN:
        # Loading one module instead of all keeps the start of `linegate run` short.
        return [_load_builtin(asked)]
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not always needed

    added = entry_points(group=GROUP)
    if asked in added.names:
        added = added.select(name=asked)
    commands = [point.load() for point in sorted(added, key=lambda point: point.name)]
    return commands + [_load_builtin(name) for name in _BUILTIN if asked not in added.names]


def _load_builtin(name: str) -> Command:
    command: Command = importlib.import_module(_BUILTIN[name]).COMMAND
    return command
