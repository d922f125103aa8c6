"""``linegate doctor``: packages that are missing, of another version, or crash when loaded."""

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linegate_runtime.checkup.base import Outcome
from linegate_runtime.checkup.child import ChildError, run_python
from linegate_runtime.checkup.packages import (
    Requirement,
    check_imports,
    check_versions,
    find_installed,
    import_problems,
    needed_modules,
    normalized,
    parse_requirements,
)

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}([-._][a-z0-9]{1,4}){0,2}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\.post[0-9])?", fullmatch=True)
MARKERS = st.sampled_from(["", " ; python_version >= '3.11'", "; sys_platform == 'linux'"])
ENDS = st.sampled_from(["\n", "\r\n"])


@given(st.dictionaries(NAMES, st.tuples(VERSIONS, MARKERS, st.integers(0, 3))), ENDS)
def test_a_list_with_hashes_is_read(wanted: dict[str, tuple[str, str, int]], end: str) -> None:
    lines = ["# made by a tool", "--index-url address", ""]
    for name, (version, marker, hashes) in wanted.items():
        parts = [f"{name}=={version}{marker}", *(["    --hash=sha256:00ff"] * hashes)]
        lines += [*(f"{part} \\" for part in parts[:-1]), parts[-1], "    # via something"]
    assert parse_requirements(end.join(lines)) == {
        normalized(name): Requirement(version, bool(marker))
        for name, (version, marker, _) in wanted.items()
    }


@given(st.text())
def test_any_text_can_be_read_as_a_list(text: str) -> None:
    assert all(one.version for one in parse_requirements(text).values())


def test_extras_hashes_on_the_same_line_and_lines_that_ask_for_nothing_are_understood() -> None:
    text = "Asyncua[a, b] == 2.1 --hash=sha256:00\n-r more.txt\nnumpy>=2\nx @ file:///x\ny==1 # z"
    assert parse_requirements(text) == {
        "asyncua": Requirement("2.1", False),
        "y": Requirement("1", False),
    }


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy==2.4.6\nmsgspec==0.22.0\nwindows-only==1.0 ; sys_platform == 'win32'\n")
    return file


def test_exactly_the_listed_packages_are_ok(listed: Path) -> None:
    installed = {"numpy": "2.4.6", "msgspec": "0.22.0", "pip": "24.0", "linegate-runtime": "0.1.0"}
    (finding,) = check_versions(listed, installed)
    assert finding.outcome is Outcome.OK


def test_each_deviation_is_named(listed: Path) -> None:
    wrong, added = check_versions(listed, {"numpy": "2.4.5", "opencv": "4.0"})
    assert wrong.outcome is Outcome.FAILED
    assert "msgspec is missing, expected 0.22.0; numpy is 2.4.5, expected 2.4.6" in wrong.detail
    assert "windows" not in wrong.detail
    assert wrong.advice == "run the installer again"
    assert added.outcome is Outcome.WARNING
    assert added.detail.endswith("lists: opencv 4.0")


def test_without_a_list_the_versions_of_what_computes_are_told(tmp_path: Path) -> None:
    (finding,) = check_versions(tmp_path / "none", computing={"numpy": "2.4.6"})
    assert finding.outcome is Outcome.OK
    assert finding.detail.endswith("numpy 2.4.6")


def test_what_is_installed_is_found_by_its_normalized_name(tmp_path: Path) -> None:
    for name, version in (("Some_Thing", "1.0"), ("other", "2.0")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}")
    assert find_installed([str(tmp_path)]) == {"some-thing": "1.0", "other": "2.0"}
    own = find_installed()
    assert own["numpy"] == importlib.metadata.version("numpy")


def test_the_engines_that_are_installed_are_needed() -> None:
    assert needed_modules({}) == ("numpy", "msgspec", "cv2")
    assert needed_modules({"ai-edge-litert": "2"})[-1] == "ai_edge_litert.interpreter"
    assert import_problems(needed_modules()) == {}


@pytest.fixture
def broken_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = {
        "for_another_cpu": "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
        "hangs_for_ever": "import time; time.sleep(60)",
        "lacks_a_library": "raise ImportError('libfoo.so.1: cannot open shared object file')",
    }
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))


@pytest.mark.usefixtures("broken_modules")
def test_a_library_that_dies_of_a_signal_is_named_with_it() -> None:
    modules = ("for_another_cpu", "lacks_a_library", "json")
    problems = import_problems(modules)
    assert problems == {
        "for_another_cpu": "crashes natively (SIGILL)",
        "lacks_a_library": "fails: ImportError: libfoo.so.1: cannot open shared object file",
    }
    crash, lack = check_imports(modules, problems)
    assert {crash.outcome, lack.outcome} == {Outcome.FAILED}
    assert "its wheel is for another processor" in str(crash.advice)
    assert "another processor" not in str(lack.advice)


@pytest.mark.usefixtures("broken_modules")
def test_a_library_that_hangs_is_given_up() -> None:
    assert import_problems(["hangs_for_ever"], 1.0) == {"hangs_for_ever": "hangs for 1 s"}


def test_signals_without_a_name_have_their_number() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 1)"
    with pytest.raises(ChildError, match=r"crashes natively \(signal [0-9]+\)"):
        run_python(["-c", code])


def test_what_all_load_is_said_shortly() -> None:
    (finding,) = check_imports(["numpy", "ai_edge_litert.interpreter"], {})
    assert (finding.outcome, finding.detail) == (Outcome.OK, "all load: numpy, ai_edge_litert")
