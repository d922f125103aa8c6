"""The commands that the quick start has a technician type, read from the page itself."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "deploy" / "README.md"

BY_HAND = ("sudo mount ", "sudo nano ")
"""A stick and an editor are what no test has."""

SUDO = """#!/bin/sh
# Does what sudo does for root, on systems that have none.
while [ $# -gt 0 ]; do
    case $1 in
        -H) shift ;;
        -u) user=$2; shift 2 ;;
        *) break ;;
    esac
done
[ -n "${user:-}" ] || exec "$@"
HOME=$(getent passwd "$user" | cut -d: -f6) exec setpriv --reuid "$user" --regid "$user" \\
    --init-groups "$@"
"""


def board_commands() -> list[str]:
    """Return what is typed on the board, in order."""
    section = PAGE.read_text().split("## Quick start")[1].split("\n## ")[0]
    on_board = section.split("**On the board**")[1]
    blocks = re.findall(r"```sh\n(.*?)```", on_board, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def tried(command: str) -> bool:
    """Say whether a test can run a command."""
    return not command.startswith(BY_HAND)
