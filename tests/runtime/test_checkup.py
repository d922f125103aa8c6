"""``linegate doctor``: Python, processor, memory and clock of broken machines."""

import dataclasses
import datetime as dt
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.checkup import checkup as module
from linegate_runtime.checkup.base import Finding, Outcome, Subject, failed, passed, warned
from linegate_runtime.checkup.checkup import Line, checkup
from linegate_runtime.checkup.clock import check_clock, check_clock_here
from linegate_runtime.checkup.processor import check_memory, check_processor, parse_meminfo
from linegate_runtime.checkup.python import check_python
from linegate_runtime.checkup.service import ServiceState
from linegate_runtime.config_file import Overrides
from linegate_runtime.identity import Processor, parse_cpuinfo, read_processor
from tests.support import TINY_BUNDLE

PI_5 = """\
processor\t: 0
Features\t: fp asimd crc32 asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""

WORDS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)


def outcomes(findings: list[Finding]) -> list[Outcome]:
    return [finding.outcome for finding in findings]


@pytest.mark.parametrize("version", [(3, 11), (3, 13)])
def test_a_python_that_was_tested_is_ok(version: tuple[int, int]) -> None:
    (finding,) = check_python(version, 64, "aarch64", is_venv=True)
    assert finding.outcome is Outcome.OK


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_a_failure(version: tuple[int, int]) -> None:
    (finding,) = check_python(version, 64, "aarch64", is_venv=True)
    assert finding.outcome is Outcome.FAILED
    assert "expected Python 3.11 to 3.13" in finding.detail


def test_32_bits_on_a_64_bit_kernel_are_named_as_the_trap_that_they_are() -> None:
    (finding,) = check_python((3, 11), 32, "aarch64", is_venv=True)
    assert finding.outcome is Outcome.FAILED
    assert "64-bit kernel (aarch64), the usual trap on a Raspberry Pi" in finding.detail
    (finding,) = check_python((3, 11), 32, "armv7l", is_venv=True)
    assert "kernel" not in finding.detail


def test_the_systems_own_python_is_a_warning_beside_all_else() -> None:
    found = list(check_python((3, 14), 32, "armv7l", is_venv=False))
    assert outcomes(found) == [Outcome.FAILED, Outcome.FAILED, Outcome.WARNING]


def test_the_python_of_these_tests_is_no_failure() -> None:
    assert Outcome.FAILED not in outcomes(list(check_python()))


@given(st.lists(st.sets(WORDS), min_size=1, max_size=6), st.sampled_from(["flags", "Features"]))
def test_features_are_those_that_every_core_has(cores: list[set[str]], key: str) -> None:
    text = "\n".join(f"processor\t: {n}\n{key}\t: {' '.join(has)}\n" for n, has in enumerate(cores))
    assert parse_cpuinfo(text).features == set.intersection(*cores)


@given(st.text())
def test_any_text_of_the_kernel_can_be_read(text: str) -> None:
    assert isinstance(parse_cpuinfo(text), Processor)


def test_a_raspberry_pi_is_named_with_its_core() -> None:
    processor = parse_cpuinfo(PI_5)
    assert processor.name == "Raspberry Pi 5 Model B Rev 1.0 0x41 0xd0b"
    finding = check_processor(processor, "aarch64", (4, 4))
    assert finding.outcome is Outcome.OK
    assert finding.detail.endswith("(aarch64), 4 cores; int8 runs with dot products")


def test_a_processor_without_dot_products_is_ok_and_said_to_be_slower() -> None:
    processor = Processor(name="Raspberry Pi 4", features=frozenset({"asimd"}))
    finding = check_processor(processor, "aarch64", (2, 4))
    assert finding.outcome is Outcome.OK
    assert "2 of 4 cores; int8 runs without dot-product instructions" in finding.detail


def test_a_processor_that_nothing_is_known_of_is_ok(tmp_path: Path) -> None:
    processor = read_processor(tmp_path / "nothing")
    assert processor == Processor(name="", features=frozenset())
    assert "unnamed (riscv64)" in check_processor(processor, "riscv64", (1, 1)).detail
    assert check_processor().outcome is Outcome.OK


@given(st.dictionaries(WORDS, st.integers(0, 2**40)))
def test_memory_is_read_in_bytes(known: dict[str, int]) -> None:
    text = "".join(f"{key}:{value:>12} kB\n" for key, value in known.items())
    assert parse_meminfo(text) == {key: 1024 * value for key, value in known.items()}


@pytest.mark.parametrize(
    ("available_kb", "expected"), [(900_000, Outcome.OK), (200_000, Outcome.WARNING)]
)
def test_little_memory_is_a_warning(tmp_path: Path, available_kb: int, expected: Outcome) -> None:
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: 1000000 kB\nMemAvailable: {available_kb} kB\nHugePages_Total: 0\n")
    assert check_memory(file).outcome is expected
    assert "does not tell" in check_memory(tmp_path / "nothing").detail


def test_a_clock_before_this_release_was_never_set() -> None:
    finding = check_clock(dt.datetime(1970, 1, 1, tzinfo=dt.UTC), is_synced=True)
    assert finding.outcome is Outcome.FAILED
    assert "expected 2026 or later, it is 1970-01-01 00:00 UTC" in finding.detail


@pytest.mark.parametrize(
    ("is_synced", "expected"),
    [(True, Outcome.OK), (None, Outcome.OK), (False, Outcome.WARNING)],
)
def test_a_clock_that_nobody_sets_is_a_warning(
    *, is_synced: bool | None, expected: Outcome
) -> None:
    finding = check_clock(dt.datetime(2027, 1, 1, tzinfo=dt.UTC), is_synced=is_synced)
    assert finding.outcome is expected
    assert check_clock_here().outcome in (Outcome.OK, Outcome.WARNING)


def without_service(folder: Path, **more: object) -> Line:
    settings = {"service_config": folder / "none.toml", "ask_service": lambda: None, **more}
    return Line(**settings)  # type: ignore[arg-type]


def test_a_check_that_breaks_is_a_failure_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Finding]:
        yield passed(Subject.TEMPERATURE, "so far")
        raise ZeroDivisionError("a sensor of zero degrees")

    def unanswered() -> ServiceState:
        raise subprocess.TimeoutExpired(["systemctl"], 10)

    monkeypatch.setattr(module, "check_heat_here", broken)
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    found = list(checkup(without_service(tmp_path, ask_service=unanswered)))
    last, service = found[-1], found[5]
    assert outcomes(found[-2:]) == [Outcome.OK, Outcome.FAILED]
    assert "the check itself broke: ZeroDivisionError: a sensor of zero degrees" in last.detail
    assert (service.subject, service.outcome) == (Subject.SERVICE, Outcome.FAILED)
    assert {finding.subject for finding in found} >= {Subject.DISK, Subject.CLOCK, Subject.PINS}


def test_nothing_that_needs_a_library_is_tried_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = {"numpy": "crashes natively (SIGILL)"}
    monkeypatch.setattr(module, "import_problems", lambda _: problems)
    overrides = Overrides(camera="0")
    found = list(checkup(without_service(tmp_path, overrides=overrides)))
    not_tried = {finding.subject for finding in found if "does not load" in finding.detail}
    assert not_tried == {Subject.CONFIGURATION, Subject.ENGINE, Subject.CAMERA}
    assert [one.subject for one in found if one.outcome is Outcome.FAILED] == [Subject.PACKAGES]


def test_the_services_settings_are_taken_where_nothing_else_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    settings = tmp_path / "linegate.toml"
    text = '[camera]\naddress = "0"\nname = "top"\n'
    settings.write_text(f'bundle = "{TINY_BUNDLE}"\n{text}')
    now = time.monotonic()
    running = ServiceState(load="loaded", active="active", sub="running", pid=1, started_s=now + 60)
    # The service's user may be on this system, and may not read what a test writes.
    line = Line(service_config=settings, service_user="nobody-at-all", ask_service=lambda: running)
    found = {finding.subject: finding for finding in checkup(line)}
    assert f"{settings}: 1 camera, trigger presence" in found[Subject.CONFIGURATION].detail
    assert found[Subject.CAMERA] == passed(Subject.CAMERA, "top: in use by the service, not opened")
    # A service that was started before the settings were changed has not read them.
    before = msgspec.structs.replace(running, started_s=now - 60)
    again = checkup(dataclasses.replace(line, ask_service=lambda: before))
    found = {finding.subject: finding for finding in again}
    assert found[Subject.CAMERA].outcome is Outcome.WARNING
    # One that is waiting to be started again holds no camera.
    settings.write_text(text.replace('"0"', '"64x48@30"\nsource = "fake"'))
    waiting = msgspec.structs.replace(running, pid=0, folders=(Path("/var/lib/linegate"),))
    every = list(checkup(dataclasses.replace(line, ask_service=lambda: waiting)))
    assert "names no bundle" in next(
        one.detail for one in every if one.subject is Subject.CONFIGURATION
    )
    (forbidden, *_) = [one for one in every if one.subject is Subject.DISK]
    assert f"the sandbox keeps the service from {tmp_path}" in forbidden.detail


def test_settings_of_the_service_that_cannot_be_read_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    # Nobody can be kept from reading here, for tests may run as root; no name is so long.
    found = checkup(without_service(tmp_path, service_config=tmp_path / ("x" * 300)))
    by_subject = {finding.subject: finding for finding in found}
    assert by_subject[Subject.CONFIGURATION].outcome is Outcome.FAILED
    assert "cannot be read" in by_subject[Subject.CONFIGURATION].detail
    assert "settings cannot be read" in by_subject[Subject.CAMERA].detail


def test_a_device_that_the_service_may_hold_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    running = ServiceState(load="loaded", active="active", sub="running", pid=1)
    overrides = Overrides(camera="0")
    line = without_service(tmp_path, overrides=overrides, ask_service=lambda: running)
    found = {finding.subject: finding for finding in checkup(line)}
    assert found[Subject.CAMERA].outcome is Outcome.WARNING
    assert "systemctl restart linegate" in str(found[Subject.CAMERA].advice)


def test_exit_codes_tell_whose_fault_it_is() -> None:
    assert {subject: subject.exit_code for subject in Subject} == {
        Subject.CONFIGURATION: 4,
        Subject.PINS: 4,
        Subject.CLOCK: 4,
        Subject.CAMERA: 5,
        Subject.DISK: 7,
        **dict.fromkeys(
            (
                *(Subject.PYTHON, Subject.PACKAGES, Subject.PROCESSOR, Subject.MEMORY),
                *(Subject.SERVICE, Subject.ENGINE, Subject.TEMPERATURE, Subject.THROTTLING),
            ),
            6,
        ),
    }
    assert failed(Subject.DISK, "full", "make room").advice == "make room"
    assert warned(Subject.DISK, "nearly full", "make room").outcome is Outcome.WARNING


def test_the_checkup_loads_no_library_before_a_child_has_tried_it() -> None:
    code = (
        "import sys, linegate_runtime.checkup.checkup, linegate_runtime.commands.doctor\n"
        "print(sorted({'numpy', 'cv2', 'gpiozero'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
