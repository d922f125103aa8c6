"""Pins that triggers open: names, sharing, faults; on gpiozero's mock pins."""

import gc
import logging
import sys
import warnings

import pytest
from gpiozero import Device, DigitalInputDevice, PinFactoryFallback
from gpiozero.pins.mock import MockFactory, MockPin

from linegate_bundle.errors import ConfigError
from linegate_runtime.triggers.gpio import Edge, Pull
from tests.runtime.gpio_support import numbers, pulse, trigger_on

pytestmark = pytest.mark.usefixtures("pins")


@pytest.mark.parametrize("name", [17, "17", "GPIO17", "BOARD11"])
def test_a_pin_has_the_names_that_gpiozero_gives_it(pin: MockPin, name: int | str) -> None:
    trigger = trigger_on(name)
    pulse(pin)
    assert numbers(trigger) == [1]


def test_a_closed_trigger_frees_its_pin_and_hears_no_edge(pin: MockPin) -> None:
    trigger = trigger_on()
    trigger.close()
    trigger.close()
    pulse(pin)
    assert numbers(trigger) == []
    other = trigger_on()
    pulse(pin)
    assert numbers(other) == [1]


@pytest.mark.usefixtures("pin")
def test_a_trigger_that_nobody_holds_frees_its_pin() -> None:
    trigger_on()
    gc.collect()
    trigger_on().close()


@pytest.mark.parametrize("name", [17, "GPIO17", "BOARD11"])
def test_a_taken_pin_is_a_configuration_error(name: int | str) -> None:
    with (
        DigitalInputDevice(17),
        pytest.raises(ConfigError, match=r"GPIO17 is already in use .* a pin of its own"),
    ):
        trigger_on(name)


@pytest.mark.usefixtures("pin")
def test_a_pin_cannot_be_pulled_both_ways() -> None:
    trigger = trigger_on(pull=Pull.UP)
    with pytest.raises(ConfigError, match="share one the same pull"):
        trigger_on(pull=Pull.DOWN)
    trigger.close()


@pytest.mark.parametrize("name", [17, "GPIO17", "BOARD11"])
def test_two_cameras_may_share_a_light_barrier(pin: MockPin, name: int | str) -> None:
    first, second = trigger_on(), trigger_on(name, edge=Edge.FALLING)
    pin.drive_high()
    assert (numbers(first), numbers(second)) == ([1], [])
    pin.drive_low()
    assert (numbers(first), numbers(second)) == ([], [1])
    first.close()
    first.close()
    pulse(pin)
    assert (numbers(first), numbers(second)) == ([], [2])
    second.close()
    third = trigger_on(pull=Pull.UP)
    third.close()


def test_a_listener_that_is_gone_does_not_keep_the_pin_from_the_others(pin: MockPin) -> None:
    kept = trigger_on()
    trigger_on()
    gc.collect()
    pulse(pin)
    assert numbers(kept) == [1]
    kept.close()
    trigger_on(pull=Pull.UP).close()


@pytest.mark.parametrize("name", [99, -1, "GPIO99", "nonsense", "BOARD6", ""])
def test_an_unknown_pin_is_a_configuration_error(name: int | str) -> None:
    with pytest.raises(
        ConfigError, match=r"expected a pin that this board has, such as 17.*pinout"
    ):
        trigger_on(name)


def test_a_pull_that_the_board_forbids_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"expected the pull that the pin has.*GPIO2"):
        trigger_on(2, pull=Pull.DOWN)
    trigger_on(2, pull=Pull.UP).close()


def test_a_pin_that_another_program_holds_is_a_configuration_error(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ChipError(Exception):
        """What lgpio raises derives from nothing else."""

    def busy(name: object) -> None:
        raise ChipError(f"'GPIO busy' ({name})")

    monkeypatch.setattr(pins, "pin", busy)
    with pytest.raises(ConfigError, match=r"pin 17: 'GPIO busy' .*; .*other program.*group gpio"):
        trigger_on()


def test_missing_gpiozero_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(ConfigError, match=r"pip install 'linegate-runtime\[gpio\]'.*group gpio"):
        trigger_on()


def test_a_machine_without_pins_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> None:
        warnings.warn(PinFactoryFallback("Falling back from lgpio: no chip"), stacklevel=1)
        raise OSError("no pins here")

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", find_none)
    expected = r"no pins on this machine.*group gpio.*\(no pins here; Falling back.* no chip\)"
    with pytest.raises(ConfigError, match=expected):
        trigger_on()


def test_what_gpiozero_could_not_use_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall_back() -> MockFactory:
        warnings.warn(PinFactoryFallback("Falling back from lgpio: no chip"), stacklevel=1)
        return MockFactory()

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", fall_back)
    with caplog.at_level(logging.WARNING):
        trigger_on().close()
    assert caplog.messages == ["Falling back from lgpio: no chip"]
