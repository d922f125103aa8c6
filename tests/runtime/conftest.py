"""gpiozero's mock pins."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gpiozero.pins.mock import MockFactory, MockPin


@pytest.fixture
def pins() -> "Iterator[MockFactory]":
    # Not every environment that runs some of these tests has gpiozero.
    from gpiozero import Device
    from gpiozero.pins.mock import MockFactory

    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    if Device.pin_factory is not None:
        Device.pin_factory.close()
    Device.pin_factory = before


@pytest.fixture
def pin(pins: "MockFactory") -> "MockPin":
    return pins.pin(17)
