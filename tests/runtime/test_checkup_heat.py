"""``linegate doctor``: heat and power, as boards of several kinds tell of them."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime import machine
from linegate_runtime.bench import _all_reasons
from linegate_runtime.checkup.base import Finding, Outcome
from linegate_runtime.checkup.heat import check_heat_here, check_temperature, check_throttling
from linegate_runtime.machine import Throttling

PI_4 = "soc/soc:firmware"
PI_5 = "soc@107c000000/soc@107c000000:firmware"


def outcomes(findings: list[Finding]) -> list[Outcome]:
    return [finding.outcome for finding in findings]


@pytest.mark.parametrize(
    ("temperature_c", "on_a_raspberry_pi", "elsewhere"),
    [
        (None, Outcome.OK, Outcome.OK),
        (69.9, Outcome.OK, Outcome.OK),
        (70.0, Outcome.WARNING, Outcome.OK),
        (79.9, Outcome.WARNING, Outcome.OK),
        (80.0, Outcome.FAILED, Outcome.WARNING),
        (105.0, Outcome.FAILED, Outcome.WARNING),
    ],
)
def test_what_slows_a_raspberry_pi_down_is_only_a_warning_on_other_machines(
    temperature_c: float | None, on_a_raspberry_pi: Outcome, elsewhere: Outcome
) -> None:
    assert check_temperature(temperature_c, is_raspberry_pi=True).outcome is on_a_raspberry_pi
    assert check_temperature(temperature_c, is_raspberry_pi=False).outcome is elsewhere


def told(bits: str, platform: Path, firmware: str = PI_4) -> Throttling | None:
    folder = platform / firmware
    folder.mkdir(parents=True)
    (folder / "get_throttled").write_text(bits)
    return machine.throttling(platform)


def judged(found: Throttling | None, *, is_raspberry_pi: bool = True) -> list[Finding]:
    return list(check_throttling(found, is_raspberry_pi=is_raspberry_pi))


def test_undervoltage_now_fails_and_earlier_heat_warns(tmp_path: Path) -> None:
    now, before = judged(told("90001\n", tmp_path))
    assert (now.outcome, now.detail) == (Outcome.FAILED, "now: undervoltage")
    assert "power supply" in str(now.advice)
    assert before.outcome is Outcome.WARNING
    assert before.detail == "since the board was switched on: too warm"
    assert "cool the board" in str(before.advice)


def test_a_board_without_throttling_is_ok(tmp_path: Path) -> None:
    assert outcomes(judged(told("0", tmp_path))) == [Outcome.OK]


@pytest.mark.parametrize("firmware", [PI_4, PI_5])
def test_the_firmware_is_found_on_boards_of_each_kind(tmp_path: Path, firmware: str) -> None:
    expected = Throttling(now=("undervoltage",), since_start=("undervoltage", "throttled"))
    assert told("50001\n", tmp_path, firmware) == expected


def test_a_machine_without_the_firmwares_file_does_not_tell(tmp_path: Path) -> None:
    assert machine.throttling(tmp_path) is None
    assert machine.throttling(tmp_path / "nothing") is None
    assert told("no number", tmp_path) is None


def vcgencmd(folder: Path, *lines: str) -> str:
    program = folder / "vcgencmd"
    program.write_text("\n".join([f"#!{sys.executable}", "import sys, time", *lines, ""]))
    program.chmod(0o755)
    return str(program)


def test_where_the_file_is_missing_vcgencmd_is_asked(tmp_path: Path) -> None:
    program = vcgencmd(
        tmp_path, "assert sys.argv[1:] == ['get_throttled']", "print('throttled=0x50005')"
    )
    reasons = ("undervoltage", "throttled")
    assert machine.ask_throttling(tmp_path, program) == Throttling(reasons, reasons)
    # Only who asks for it starts a program.
    assert machine.throttling(tmp_path) is None


def test_the_file_is_believed_before_vcgencmd(tmp_path: Path) -> None:
    found = told("0", tmp_path)
    program = vcgencmd(tmp_path, "print('throttled=0x50005')")
    assert machine.ask_throttling(tmp_path, program) == found == Throttling((), ())


@pytest.mark.parametrize(
    "lines",
    [
        ("print('VCHI initialization failed')",),
        ("print('throttled=0x0')", "sys.exit(1)"),
        ("print('throttled=0x')",),
        ("time.sleep(60)",),
    ],
)
def test_a_vcgencmd_that_fails_or_hangs_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    monkeypatch.setattr(machine, "_VCGENCMD_LIMIT_S", 1.0)
    assert machine.ask_throttling(tmp_path, vcgencmd(tmp_path, *lines)) is None
    assert machine.ask_throttling(tmp_path, str(tmp_path / "none")) is None


def test_a_raspberry_pi_that_does_not_tell_is_a_warning_and_another_machine_ok() -> None:
    (unseen,) = judged(None)
    assert unseen.outcome is Outcome.WARNING
    assert "undervoltage and throttling cannot be seen" in unseen.detail
    assert "vcgencmd get_throttled" in str(unseen.advice)
    assert "the group video" in str(unseen.advice)
    assert outcomes(judged(None, is_raspberry_pi=False)) == [Outcome.OK]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0\0", True),
        ("Raspberry Pi Compute Module 4 Rev 1.1\0", True),
        ("Radxa ROCK 5B\0", False),
    ],
)
def test_a_raspberry_pi_is_known_by_its_device_tree(
    tmp_path: Path, model: str, *, expected: bool
) -> None:
    (tmp_path / "model").write_text(model)
    assert machine.board(tmp_path / "model") == model.strip("\0")
    assert machine.is_raspberry_pi(machine.board(tmp_path / "model")) is expected
    assert not machine.is_raspberry_pi(machine.board(tmp_path / "nothing"))


@given(st.integers(0, 2**32 - 1))
def test_any_bits_of_the_firmware_can_be_read(bits: int) -> None:
    assert Throttling.of(bits).since_start == Throttling.of(bits >> 16).now


def test_a_measurement_keeps_whatever_slowed_the_processor_down_meanwhile() -> None:
    warm, weak = Throttling(("too warm",), ()), Throttling(("undervoltage",), ())
    assert _all_reasons([warm, None, weak, warm]) == ("too warm", "undervoltage")
    assert _all_reasons([Throttling((), ())]) == ()
    assert _all_reasons([None, None]) is None


def test_this_machine_can_be_looked_at() -> None:
    assert len(list(check_heat_here())) >= 2
