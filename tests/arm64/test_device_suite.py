"""The device's own tests pass on an emulated ARM board."""

import concurrent.futures
import dataclasses
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.arm64.guest import IS_FULL, REPOSITORY, Guest

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(7200)]

_AT_ONCE = 2

_CLOCK = "the simulated cameras and belts are faster than an emulated processor"
_LIMITS = "tells of limits of a second and less, which an emulated processor does not keep"
_MISSING = "needs a program that the tree does not have"
_PYTHON = "slow, and in pure Python: nothing in it depends on the processor"

LEFT_OUT = {
    "test_belt.py": _CLOCK,
    "test_bench.py": "tells of times, which mean nothing under emulation",
    "test_capture.py": _CLOCK,
    "test_capture_cameras.py": _CLOCK,
    "test_faults.py": _CLOCK,
    "test_line_features.py": _CLOCK,
    "test_outputs.py": _LIMITS,
    "test_outputs_faults.py": _LIMITS,
    "test_outputs_gate.py": _LIMITS,
    "test_rtsp.py": _MISSING,
    "test_run.py": _LIMITS,
    "test_service_manager.py": _LIMITS,
    "test_sink_gpio.py": _LIMITS,
    "test_sink_gpio_faults.py": _LIMITS,
    "test_sink_mqtt.py": _MISSING,
    "test_sink_mqtt_faults.py": _MISSING,
    "test_stop.py": _MISSING,
}
"""Files of ``tests/bundle`` and ``tests/runtime`` that make no sense under emulation, and why.
What a live line does on ARM is in ``test_live.py``."""

FULL_ONLY = {
    "test_checkup_as_user.py": "starts Python in each test; nothing in it depends on the processor",
    "test_class_maps.py": "a whole line a test; maps are compared in test_same_verdicts.py",
    "test_doctor.py": "a whole line a test",
    "test_log_export.py": _PYTHON,
    "test_log_files.py": _PYTHON,
    "test_log_show.py": _PYTHON,
    "test_log_stats.py": _PYTHON,
    "test_log_verify.py": _PYTHON,
    "test_sink_modbus_client.py": _PYTHON,
    "test_sink_opcua.py": _PYTHON,
    "test_sink_opcua_security.py": _PYTHON,
    "test_source_picamera2.py": "a whole line a test, with a simulated library",
    "test_trigger_software.py": "a whole line a test",
}
"""Files that pass and take long: in ``make arm64-full`` only."""

_PRESENCE = "runtime/test_presence.py::test_"
_SINKS = "runtime/test_sinks.py::test_contract_"
_VERIFY = "runtime/test_verify.py::test_"

DESELECTED = {
    "runtime/test_checkup_cameras.py::"
    "test_a_camera_that_nobody_serves_is_a_failure_with_the_reason": _LIMITS,
    "runtime/test_checkup_cameras.py::test_black_and_frozen_pictures_are_named": _LIMITS,
    "runtime/test_loop.py::test_time_ends_a_run_and_the_tally_counts": _LIMITS,
    "runtime/test_sink_modbus_client.py::"
    "test_a_controller_that_is_away_is_an_error_of_the_delivery_and_not_of_the_start": _LIMITS,
    "runtime/test_source_replay.py::"
    "test_no_frame_comes_before_it_is_due_and_none_much_later": _LIMITS,
    "runtime/test_testing.py::test_a_frame_and_its_coding_are_fast_enough_for_a_camera": _LIMITS,
}
"""Single tests that make no sense under emulation."""

DESELECTED_UNLESS_FULL = (
    f"{_PRESENCE}each_cell_on_the_belt_gets_one_number_and_its_exact_place",
    f"{_PRESENCE}parts_of_any_size_speed_and_gap_get_one_number_each",
    f"{_PRESENCE}noise_and_slowly_changing_light_do_not_matter",
    f"{_PRESENCE}the_empty_scene_is_learned_from_the_first_frames_if_no_picture_is_given",
    f"{_PRESENCE}without_a_part_size_the_crop_follows_the_edges",
    f"{_PRESENCE}frames_that_come_late_in_bunches_or_not_at_all_do_not_matter",
    f"{_SINKS}showing_how_the_line_is_does_not_wait[opcua]",
    f"{_SINKS}closing_takes_less_than_a_second_and_twice_does_no_harm[opcua]",
    f"{_VERIFY}a_golden_frame_that_was_exchanged_fails",
    f"{_VERIFY}a_model_that_no_golden_frame_covers_fails",
    f"{_VERIFY}a_model_exchanged_and_sealed_again_fails",
)
"""Single tests that pass and take long; their neighbours run the same code."""


def selected() -> list[str]:
    """Return the files to run: all that are not named above, so that new ones are in."""
    left_out = LEFT_OUT.keys() | (set() if IS_FULL else FULL_ONLY.keys())
    files = [
        path
        for folder in ("bundle", "runtime")
        for path in sorted((REPOSITORY / "tests" / folder).glob("test_*.py"))
    ]
    unknown = (LEFT_OUT.keys() | FULL_ONLY.keys()) - {path.name for path in files}
    assert not unknown, f"no such tests: {unknown}"
    return [str(path.relative_to(REPOSITORY)) for path in files if path.name not in left_out]


def deselected() -> list[str]:
    """Return the options that leave out single tests."""
    names = [*DESELECTED, *(() if IS_FULL else DESELECTED_UNLESS_FULL)]
    return [f"--deselect=tests/{name}" for name in names]


def test_the_devices_own_tests_pass(
    device: Guest, libraries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = device.seeing(REPOSITORY, Path("/mnt/repository")).seeing(
        libraries, Path("/mnt/pytest")
    )

    def run(files: Sequence[str]) -> str:
        # What is written there is nobody's matter: two folders over one tree must not be shared.
        one = dataclasses.replace(board, upper=tmp_path / Path(files[0]).stem)
        subprocess.run(["cp", "--archive", device.upper, one.upper], check=True)
        return one.run(
            *("env", "-C", "/mnt/repository", "PYTHONPATH=/mnt/pytest"),
            *("PYTHONDONTWRITEBYTECODE=1", device.python, "-m", "pytest", "-q"),
            *("-p", "no:cacheprovider", "-p", "tests.arm64.guest_profile"),
            *("--hypothesis-profile=emulated", "--timeout=1200", "--durations=15"),
            *(*deselected(), *files),
            timeout_s=7000,
        )

    # An emulated program takes one core of this machine.
    files = selected()
    halves = [files[number::_AT_ONCE] for number in range(_AT_ONCE)]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        told = list(pool.map(run, halves))
    with capsys.disabled():
        for half in told:
            print(f"\n{half.splitlines()[-1]}")  # noqa: T201 - to be read
