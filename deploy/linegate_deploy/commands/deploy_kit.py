"""``linegate deploy-kit``: everything that a board needs, in one file for a stick."""

import argparse
import sys
from pathlib import Path

from linegate_bundle.command import Command

_DESCRIPTION = """\
Make one file that sets up a board without network: installer, wheels with their hashes,
service, and if wanted bundle and settings.

  linegate deploy-kit --platform rpi-bookworm --bundle cells-1.0.0.linegate

On the board:

  tar xf linegate-kit-rpi-bookworm-*.tar
  sudo sh linegate-kit-rpi-bookworm-*/install.sh"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from linegate_deploy.platforms import PLATFORMS  # noqa: PLC0415

    parser.add_argument(
        "--platform",
        required=True,
        choices=list(PLATFORMS),
        help="; ".join(f"{name}: {platform.title}" for name, platform in PLATFORMS.items()),
    )
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="the .linegate file to install")
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="the board's linegate.toml (default: a template)",
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take wheels from there, ask no package index"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="folder for the kit (default: here)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the kit."""
    from linegate_deploy.kit import KitRequest, make_kit  # noqa: PLC0415
    from linegate_deploy.platforms import PLATFORMS  # noqa: PLC0415

    arguments.out.mkdir(parents=True, exist_ok=True)
    request = KitRequest(
        platform=PLATFORMS[arguments.platform],
        bundle=arguments.bundle,
        settings=arguments.settings,
        shelf=arguments.wheels,
    )
    kit = make_kit(request, arguments.out)
    sys.stdout.write(
        f"{kit}  ({kit.stat().st_size / 1e6:.0f} MB, {request.platform.title})\n"
        "carry it to the board, then there:\n"
        f"  tar xf {kit.name}\n"
        f"  sudo sh linegate-kit-{request.platform.name}-*/install.sh\n"
    )
    return 0


COMMAND = Command(
    name="deploy-kit",
    help="make one file that sets up a board without network",
    description=_DESCRIPTION,
    configure=configure,
    run=run,
)
