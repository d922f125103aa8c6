"""Pins of a board through gpiozero: how they are found, and what its errors mean to a user.

Whoever opens pins, as a trigger or as a sink, does it with these, so that the same fault gets
the same advice.
"""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from linegate_bundle.errors import ConfigError


def import_gpiozero(user: str) -> Any:
    """Return the module gpiozero.

    Args:
        user: who needs it, such as ``the trigger gpio``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("gpiozero")
    except ImportError as error:
        raise ConfigError(
            f"{user} needs gpiozero: pip install 'linegate-runtime[gpio]' "
            f"({error}); then the user must be in the group gpio"
        ) from error


def find_pins(gpiozero: Any, user: str) -> tuple[str, ...]:
    """Let gpiozero choose what it reaches the pins through.

    Args:
        gpiozero: the module.
        user: who needs pins, such as ``the trigger gpio``.

    Returns:
        What it could not use and why, for the log.

    Raises:
        ConfigError: nothing reaches any pins.
    """
    with warnings.catch_warnings(record=True) as tried:
        warnings.simplefilter("always")
        try:
            gpiozero.Device.ensure_pin_factory()
        except Exception as error:  # what talks to the chip has exceptions of its own
            reasons = "; ".join([str(error), *(str(warning.message) for warning in tried)])
            raise ConfigError(
                f"{user} finds no pins on this machine; on a Raspberry Pi: "
                "pip install 'linegate-runtime[gpio]', with Python 3.13 lgpio of the system "
                "(sudo apt install python3-lgpio, then install.sh once more), put the user into "
                f"the group gpio (sudo usermod -aG gpio $USER) and log in again ({reasons})"
            ) from error
    return tuple(str(warning.message) for warning in tried)


@contextlib.contextmanager
def opening(gpiozero: Any, name: int | str) -> Iterator[None]:
    """Open a pin in the block; what goes wrong is said in words for users.

    Args:
        gpiozero: the module.
        name: of the pin, as gpiozero names it: 17, ``"GPIO17"``, ``"BOARD11"``.

    Raises:
        ConfigError: the pin cannot be had.
    """
    try:
        yield
    except gpiozero.GPIOPinInUse as error:
        raise ConfigError(
            f"{error}; give each sink a pin of its own, and triggers that share one the same pull"
        ) from error
    except gpiozero.PinInvalidPin as error:
        raise ConfigError(
            f"expected a pin that this board has, such as 17, 'GPIO17' or 'BOARD11': {error}; "
            "gpiozero's command `pinout` shows them"
        ) from error
    except gpiozero.PinFixedPull as error:
        raise ConfigError(f"expected the pull that the pin has, or another pin: {error}") from error
    except Exception as error:  # what talks to the chip has exceptions of its own
        raise ConfigError(
            f"cannot open pin {name}: {error}; check that no other program uses it and "
            "that the user is in the group gpio"
        ) from error
