"""Input pins of a board through gpiozero; several triggers may listen to one.

A light barrier before two cameras, or before two regions of one, is one pin: to the
system it can be opened only once, so whoever opens it again shares it.
"""

import logging
import time
import weakref
from collections.abc import Callable
from typing import Any

from linegate_runtime.gpio_access import find_pins, import_gpiozero, opening

_LOG = logging.getLogger(__name__)

_USER = "the trigger gpio"

Listener = Callable[[int], None]
"""Takes the ``time.monotonic_ns()`` of an edge, in gpiozero's thread."""


class InputPin:
    """An open pin that tells of its edges; for as long as its holders keep it.

    Attributes:
        pull_up: whether the board pulls it up (True), down (False) or not at all (None).
    """

    def __init__(self, device: Any, *, pull_up: bool | None) -> None:
        self.pull_up = pull_up
        self._device = device
        self._rising, self._falling = _Fan(), _Fan()
        # To gpiozero a pin that is pulled up is active while it is low. It holds no more than
        # the fans: a pin that nobody holds any more is closed.
        up, down = (self._falling, self._rising) if pull_up else (self._rising, self._falling)
        device.when_activated, device.when_deactivated = up.tell, down.tell

    def listen(self, listener: Listener, *, is_rising: bool) -> None:
        """Tell a bound method of each such edge, until its object is gone or stops listening."""
        (self._rising if is_rising else self._falling).add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell it no more; who leaves last closes the pin."""
        self._rising.remove(listener)
        self._falling.remove(listener)
        if not self._rising.has_listeners and not self._falling.has_listeners:
            self._device.close()

    @property
    def is_open(self) -> bool:
        """Whether it still tells of edges."""
        return not self._device.closed


class _Fan:
    """Passes edges on. It is changed by exchanging its tuple, which is safe between threads."""

    def __init__(self) -> None:
        self._listeners: tuple[weakref.WeakMethod[Listener], ...] = ()

    @property
    def has_listeners(self) -> bool:
        return any(reference() is not None for reference in self._listeners)

    def add(self, listener: Listener) -> None:
        self._listeners = (*self._listeners, weakref.WeakMethod(listener))

    def remove(self, listener: Listener) -> None:
        kept = [one for one in self._listeners if one() not in (None, listener)]
        self._listeners = tuple(kept)

    def tell(self) -> None:
        now_ns = time.monotonic_ns()
        for reference in self._listeners:
            listener = reference()
            if listener is not None:
                listener(now_ns)


_OPEN: "weakref.WeakValueDictionary[Any, InputPin]" = weakref.WeakValueDictionary()
"""What is open in this process, by gpiozero's own pins."""


def open_pin(name: int | str, *, pull_up: bool | None) -> InputPin:
    """Open a pin, or share it with those who have opened it alike.

    Args:
        name: as gpiozero names it: 17, ``"GPIO17"``, ``"BOARD11"``.
        pull_up: whether the board pulls it up (True), down (False) or not at all (None).

    Raises:
        ConfigError: gpiozero or the pins are missing, or the pin cannot be had.
    """
    gpiozero = import_gpiozero(_USER)
    for reason in find_pins(gpiozero, _USER):
        _LOG.warning("%s", reason)
    with opening(gpiozero, name):
        pin = gpiozero.Device.pin_factory.pin(name)
        known = _OPEN.get(pin)
        if known is not None and known.is_open and known.pull_up == pull_up:
            return known
        device = gpiozero.DigitalInputDevice(
            name, pull_up=pull_up, active_state=True if pull_up is None else None
        )
    opened = InputPin(device, pull_up=pull_up)
    _OPEN[pin] = opened
    return opened
