"""``linegate verify``: is this bundle whole, and does it answer as promised here?"""

import argparse
import sys

import msgspec

from linegate_bundle.command import Command
from linegate_bundle.errors import EngineError
from linegate_runtime.commands.options import add_bundle, open_bundle
from linegate_runtime.verify import Outcome, verify


def _configure(parser: argparse.ArgumentParser) -> None:
    add_bundle(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a check")


def _run(options: argparse.Namespace) -> int:
    failed = False
    with open_bundle(options.bundle) as bundle:
        for check in verify(bundle):
            failed = failed or check.outcome is Outcome.FAILED
            if options.json:
                line = msgspec.json.encode(check).decode()
            else:
                line = f"{check.outcome.value:<8}{check.subject:<22} {check.detail}"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return EngineError.exit_code if failed else 0


COMMAND = Command(
    name="verify",
    help="check a bundle's hashes, then its golden frames in every engine",
    description=(
        "Check the hash of the file and of every member, then run the golden frames with every\n"
        "engine that is installed and compare with the outputs that the workstation recorded.\n"
        "Exit code 3: damaged or altered. 6: an engine fails or answers otherwise."
    ),
    configure=_configure,
    run=_run,
)
