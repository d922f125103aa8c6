"""Cameras under ``/dev/video*`` through OpenCV: settings that are proven, failures explained.

Controls by the kernel's documentation, "Camera Control Reference" and "User Controls" of the
Video for Linux API. OpenCV passes them on unchanged, in the driver's own units.
"""

import errno
import os
import re
from pathlib import Path

import cv2

from linegate_bundle.errors import CameraError, ConfigError
from linegate_runtime.sources.base import SourceOptions
from linegate_runtime.sources.readback import (
    EXPOSURE_SHARE,
    FPS_SHARE,
    GAIN_SHARE,
    WHITE_BALANCE_STEP_K,
    Readback,
    compare,
    compare_sizes,
    refuse_untaken,
)

_EXPOSURE_UNIT_US = 100.0
"""Unit of V4L2_CID_EXPOSURE_ABSOLUTE."""

_EXPOSURE_MANUAL = 1
"""V4L2_EXPOSURE_MANUAL."""

_EXPOSURES_BY_CAMERA = (0, 3)
"""V4L2_EXPOSURE_AUTO and V4L2_EXPOSURE_APERTURE_PRIORITY: the camera chooses the time."""

_WHITE_BALANCE_MANUAL = 0

_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENXIO)


def open_device(options: SourceOptions) -> cv2.VideoCapture:
    """Open the camera that an address names, and make the settings asked for.

    Raises:
        CameraError: says whether the camera is absent, not permitted, busy or no camera.
        ConfigError: names all settings that the camera has not taken.
    """
    node = node_of(options.address)
    number = re.fullmatch(r"/dev/video([0-9]{1,3})", str(node))
    capture = cv2.VideoCapture(int(number[1]) if number else str(node), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(why_not(node))
    try:
        _ask(capture, options)
        if not all(one.taken for one in _pictures(capture, options)):
            # Raw pictures of this size may be too many bytes for USB; compressed ones fit.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            _ask(capture, options)
        # Drivers queue several frames by default; each would be one frame period old.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        refuse_untaken([*_pictures(capture, options), *_set_light(capture, options)])
    except ConfigError:
        capture.release()
        raise
    return capture


def node_of(address: str) -> Path:
    """Return the node that an address names: a number, or the path itself."""
    return Path(f"/dev/video{int(address)}" if address.isdecimal() else address)


def why_not(node: Path) -> str:
    """Say why a camera did not open, which OpenCV does not tell."""
    try:
        os.close(os.open(node, os.O_RDWR | os.O_NONBLOCK))
    except PermissionError:
        return (
            f"expected a camera, no permission to open {node}; add the user to the group video "
            "(`sudo usermod -aG video USER`) and log in again"
        )
    except OSError as error:
        if error.errno in _ABSENT:
            return f"expected a camera, there is none at {node}; look whether it is plugged in"
        if error.errno == errno.EBUSY:
            return f"expected a camera, {node} is busy: another program uses it"
        return f"expected a camera, {node} does not open: {error.strerror}"
    user = _user_of(node)
    if user:
        return f"expected a camera, {node} is busy: another program uses it ({user})"
    return (
        f"expected a camera, {node} gives no video; a camera's second node often carries no "
        "pictures, the one before it does; or a program of another user uses it"
    )


def _ask(capture: cv2.VideoCapture, options: SourceOptions) -> None:
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size.height)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)


def _pictures(capture: cv2.VideoCapture, options: SourceOptions) -> list[Readback]:
    """Compare size and rate."""
    found = []
    if options.size is not None:
        width, height = (
            capture.get(cv2.CAP_PROP_FRAME_WIDTH),
            capture.get(cv2.CAP_PROP_FRAME_HEIGHT),
        )
        found.append(compare_sizes(options.size, round(width), round(height)))
    if options.fps is not None:
        got = _value(capture, cv2.CAP_PROP_FPS)
        found.append(compare("fps", options.fps, got, share=FPS_SHARE))
    return found


def _set_light(capture: cv2.VideoCapture, options: SourceOptions) -> list[Readback]:
    """Set exposure, gain and white balance, and compare them."""
    found = []
    if options.exposure_us is not None:
        units = max(1, round(options.exposure_us / _EXPOSURE_UNIT_US))
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _EXPOSURE_MANUAL)
        capture.set(cv2.CAP_PROP_EXPOSURE, units)
        found.append(_exposure(capture, options.exposure_us))
    if options.gain is not None:
        capture.set(cv2.CAP_PROP_GAIN, options.gain)
        got = _value(capture, cv2.CAP_PROP_GAIN)
        found.append(compare("gain", options.gain, got, share=GAIN_SHARE))
    if options.white_balance_k is not None:
        capture.set(cv2.CAP_PROP_AUTO_WB, _WHITE_BALANCE_MANUAL)
        capture.set(cv2.CAP_PROP_WB_TEMPERATURE, options.white_balance_k)
        found.append(_white_balance(capture, options.white_balance_k))
    return found


def _exposure(capture: cv2.VideoCapture, asked_us: float) -> Readback:
    if _value(capture, cv2.CAP_PROP_AUTO_EXPOSURE) in _EXPOSURES_BY_CAMERA:
        return _automatic("exposure_us", asked_us)
    units = _value(capture, cv2.CAP_PROP_EXPOSURE)
    got_us = None if units is None else units * _EXPOSURE_UNIT_US
    return compare("exposure_us", asked_us, got_us, share=EXPOSURE_SHARE, step=_EXPOSURE_UNIT_US)


def _white_balance(capture: cv2.VideoCapture, asked_k: int) -> Readback:
    is_automatic = _value(capture, cv2.CAP_PROP_AUTO_WB)
    if is_automatic is not None and is_automatic != _WHITE_BALANCE_MANUAL:
        return _automatic("white_balance_k", asked_k)
    got_k = _value(capture, cv2.CAP_PROP_WB_TEMPERATURE)
    return compare("white_balance_k", asked_k, got_k, step=WHITE_BALANCE_STEP_K)


def _automatic(name: str, asked: float) -> Readback:
    return Readback(name, f"{asked:g}", "automatic (the camera does not stop it)", taken=False)


def _value(capture: cv2.VideoCapture, name: int) -> float | None:
    """Read a control; None if the camera has no such control, for which OpenCV gives -1."""
    value = capture.get(name)
    return None if value < 0 else value


def _user_of(node: Path) -> str:
    """Return name and number of another process that has a node open; empty if none is found.

    Without root's rights only the processes of the same user can be looked into.
    """
    target = node.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            has_it = any(link.readlink() == target for link in (process / "fd").iterdir())
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue  # it has ended meanwhile, or is another user's
        if has_it:
            return f"{name}, process {process.name}"
    return ""
