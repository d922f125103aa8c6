"""Options of the commands that look at cameras; nothing here takes time to load."""

import argparse
from pathlib import Path

from linegate_runtime.commands.arguments import region, size


def add_scene(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which camera is looked at, where, and what a part is there."""
    camera = parser.add_argument_group("camera")
    camera.add_argument(
        "--camera",
        metavar="ADDRESS",
        help="http://, rtsp://, a device number, csi:0, a video file, a folder of images or a "
        "recording",
    )
    camera.add_argument(
        "--source",
        metavar="NAME",
        help="mjpeg, opencv, picamera2, folder, replay or fake (default: by the address)",
    )
    camera.add_argument("--config", type=Path, metavar="FILE", help="TOML file with all of this")
    parts = parser.add_argument_group("parts")
    parts.add_argument(
        "--trigger",
        metavar="NAME",
        help="presence (default), continuous, interval, gpio or an added trigger",
    )
    parts.add_argument(
        "--empty",
        type=Path,
        metavar="PICTURE",
        help="the scene without parts (default: learned from the first frames)",
    )
    parts.add_argument(
        "--part-size",
        type=size,
        metavar="WxH",
        help="crop of this size in pixels, centred on the part (default: the part's own edges)",
    )
    parts.add_argument(
        "--region",
        type=region,
        metavar="X,Y,W,H",
        help="look only there, in pixels (default: the whole frame)",
    )
