"""``linegate doctor`` as root: engine and cameras are tried as the service's user."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import pytest

import linegate_runtime
from linegate_runtime.checkup import as_user
from linegate_runtime.checkup import checkup as module
from linegate_runtime.checkup.as_user import environment_of, run_as, try_as
from linegate_runtime.checkup.base import Finding, Outcome, Subject, passed
from linegate_runtime.checkup.checkup import Line, checkup
from linegate_runtime.checkup.child import ChildError
from linegate_runtime.checkup.service import ServiceState
from linegate_runtime.checkup.trial import Held, Trial
from linegate_runtime.checkup.users import User, named_user
from linegate_runtime.config_file import Overrides
from linegate_runtime.geometry import Box, Size
from tests.runtime.live_support import even_picture
from tests.support import TINY_BUNDLE

NOBODY = "nobody"
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
LIMIT_S = 60.0


def nobody(home: str = "/nonexistent", *groups: int) -> User:
    found = named_user(NOBODY)
    assert found is not None
    return msgspec.structs.replace(found, home=home, groups=found.groups | {*groups})


def may_run(python: Path | str) -> bool:
    try:
        command = [python, "-c", "import venv"]
        return not subprocess.run(command, user=NOBODY, cwd="/", check=False).returncode
    except OSError:
        return False


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Give a folder that all may enter, and in it ``env``, a Python that all may run."""
    if os.geteuid() != 0:
        pytest.skip("only root may be another user")
    pythons = [str(Path(sys.executable).resolve()), f"/usr/bin/{PYTHON}"]
    python = next((one for one in pythons if may_run(one)), None)
    if python is None:
        pytest.skip(f"{NOBODY} may run no {PYTHON} here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        env = folder / "env"
        subprocess.run([python, "-m", "venv", "--without-pip", env], check=True, timeout=60)
        libraries = [sysconfig.get_path("purelib"), Path(linegate_runtime.__file__).parents[1]]
        beside = env / "lib" / PYTHON / "site-packages" / "libraries.pth"
        beside.write_text("".join(f"{one}\n" for one in libraries))
        tried = [str(env / "bin/python"), "-c", "import cv2, linegate_runtime"]
        if subprocess.run(tried, user=NOBODY, cwd="/", check=False).returncode:
            pytest.skip(f"{NOBODY} may not read the libraries of this environment")
        yield folder


@pytest.fixture
def folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty folder that all may enter; children run the Python that all may run."""
    monkeypatch.setattr(sys, "executable", str(place / "env/bin/python"))
    with tempfile.TemporaryDirectory(dir=place) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def said(user: User, code: str, limit_s: float = LIMIT_S) -> list[str]:
    return [line.decode() for line in run_as(user, ["-P", "-c", code], limit_s)]


def test_a_child_has_the_users_rights_and_nothing_of_the_callers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "XDG_STATE_HOME", "STATE_DIRECTORY", "SECRET"):
        monkeypatch.setenv(name, "/root")
    code = (
        "import json, os, sys\n"
        "from linegate_runtime.state import state_folder\n"
        "print(json.dumps({'ids': [os.getresuid(), os.getresgid()], 'groups': os.getgroups(),\n"
        "  'folder': os.getcwd(), 'umask': os.umask(0), 'leads': os.getsid(0) == os.getpid(),\n"
        "  'input': sys.stdin.read(), 'state': str(state_folder()), 'names': [*os.environ]}))"
    )
    user = nobody(str(folder), 4242)
    (line,) = said(user, code)
    found = json.loads(line)
    assert found["ids"] == [3 * [user.uid], 3 * [user.gid]]
    assert set(found["groups"]) == {*user.groups}
    assert (found["folder"], found["umask"]) == (str(folder), 0o027)
    assert found["state"] == f"{folder}/.local/state/linegate"
    assert found["leads"]
    assert not found["input"]
    assert not {"PYTHONPATH", "XDG_STATE_HOME", "STATE_DIRECTORY", "SECRET"} & {*found["names"]}


def test_a_user_whose_home_is_not_there_starts_at_the_root_folder(folder: Path) -> None:
    del folder
    assert said(nobody(), "import os; print(os.getcwd())") == ["/"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", r"crashes natively \(SIGILL\)"),
        ("raise ValueError('spoilt')", "fails: ValueError: spoilt"),
        ("raise ValueError('\\x1b[2J')", r"fails: ValueError: \?\[2J"),
        ("while True: print('much' * 1000)", "says more than 1048576 bytes"),
    ],
)
def test_a_child_that_crashes_or_talks_without_end_is_told(
    folder: Path, code: str, words: str
) -> None:
    del folder
    with pytest.raises(ChildError, match=words):
        said(nobody(), code, 60.0)


@pytest.mark.parametrize(
    "code",
    ["import time; time.sleep(100)", "import os, time; os.close(1); time.sleep(100)"],
)
def test_a_child_that_hangs_is_ended(folder: Path, code: str) -> None:
    del folder
    started = time.monotonic()
    with pytest.raises(ChildError, match="hangs for 2 s"):
        said(nobody(), code, 2.0)
    assert time.monotonic() - started < 60.0


def test_much_complaining_holds_nobody_up(folder: Path) -> None:
    del folder
    code = "import sys; sys.stderr.write('x' * 1_000_000); print('done')"
    assert said(nobody(), code) == ["done"]


STATUS = "import pathlib; print(pathlib.Path('/proc/self/status').read_text())"


def test_a_child_has_no_way_to_more_rights(folder: Path) -> None:
    del folder
    status = dict(line.split(":\t", 1) for line in said(nobody(), STATUS) if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0


def test_what_the_user_has_installed_at_home_does_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only an environment with the system's packages looks at those of the user too.
    make = ["-m", "venv", "--without-pip", "--system-site-packages", str(folder / "env")]
    subprocess.run([sys.executable, *make], check=True, timeout=60)
    monkeypatch.setattr(sys, "executable", str(folder / "env/bin/python"))
    packages = folder / f".local/lib/{PYTHON}/site-packages"
    packages.mkdir(parents=True)
    (packages / "usercustomize.py").write_text("print('all is well')\n")
    assert said(nobody(str(folder)), "print('done')") == ["done"]


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("end", ["pass", "os.abort()", "raise ValueError", "time.sleep(100)"])
def test_what_a_child_leaves_behind_is_ended_however_it_ended(folder: Path, end: str) -> None:
    del folder
    code = (
        "import os, subprocess, time\n"
        "none = subprocess.DEVNULL\n"
        "left = subprocess.Popen(['sleep', '1000'], stdin=none, stdout=none, stderr=none)\n"
        f"print(left.pid, flush=True)\n{end}"
    )
    lines: list[bytes] = []
    with contextlib.suppress(ChildError):
        lines.extend(run_as(nobody(), ["-P", "-c", code], LIMIT_S if end == "pass" else 2.0))
    (line,) = lines
    until = time.monotonic() + 10.0
    while is_running(int(line)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(int(line))


def test_without_setpriv_nothing_is_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(folder / "setpriv")
    monkeypatch.setattr(as_user, "_SETPRIV", missing)
    with pytest.raises(ChildError, match=f"cannot be started: {missing}: No such file"):
        said(nobody(), "print('done')")


def test_who_may_not_run_this_python_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = folder / "python"
    python.touch(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    (finding,) = try_as(nobody(), trial(folder / "none.toml"), LIMIT_S)
    assert (finding.subject, finding.outcome) == (Subject.ENGINE, Outcome.FAILED)
    assert f"failed to execute {python}: Permission denied" in finding.detail


def trial(settings: Path) -> Trial:
    return Trial(settings=settings, overrides=Overrides(), bundle=None, held=None)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "crashes natively (SIGABRT)"),
        ("print('no finding')", "says what is no finding"),
        ("pass", "says nothing"),
        ("import time; time.sleep(60)", "hangs for 2 s"),
    ],
)
def test_a_trial_that_breaks_is_a_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setattr(as_user, "_CHILD", ("-P", "-c", code))
    (finding,) = try_as(nobody(), trial(folder / "none.toml"), 2.0)
    assert (finding.subject, finding.outcome) == (Subject.ENGINE, Outcome.FAILED)
    assert f"the user nobody {words}" in finding.detail
    assert "sudo -H -u nobody linegate doctor" in str(finding.advice)


def line_of(folder: Path, camera: str, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Return a service's line, with a bundle of its own in that folder."""
    monkeypatch.setattr(module, "import_problems", lambda _: {})
    bundle = folder / "tiny.linegate"
    shutil.copyfile(TINY_BUNDLE, bundle)
    bundle.chmod(0o644)
    settings = folder / "linegate.toml"
    settings.write_text(f'bundle = "{bundle}"\n[camera]\naddress = "{camera}"\n')
    settings.chmod(0o644)
    state = ServiceState(load="loaded", active="inactive")
    return Line(service_config=settings, service_user=NOBODY, ask_service=lambda: state)


def found_by(line: Line) -> dict[Subject, Finding]:
    return {finding.subject: finding for finding in checkup(line)}


def test_a_bundle_and_a_camera_that_only_root_may_read_are_failures_of_the_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "1.png"), even_picture(100))
    line = line_of(folder, str(pictures), monkeypatch)
    found = found_by(line)
    assert found[Subject.ENGINE].outcome is Outcome.OK, found[Subject.ENGINE].detail
    assert found[Subject.ENGINE].detail.endswith("runs tiny 1.0.0 with XNNPACK")
    assert found[Subject.CAMERA].outcome is Outcome.OK, found[Subject.CAMERA].detail
    (folder / "tiny.linegate").chmod(0o600)
    pictures.chmod(0o700)
    found = found_by(line)
    assert found[Subject.ENGINE].outcome is Outcome.FAILED
    text = "tiny.linegate: the user nobody may not read it (tried as the user nobody)"
    assert found[Subject.ENGINE].detail.endswith(text)
    assert found[Subject.ENGINE].advice == "copy it to where the user nobody may read it"
    assert found[Subject.CAMERA].outcome is Outcome.FAILED
    assert str(pictures) in found[Subject.CAMERA].detail


def test_a_bundle_in_a_closed_home_is_to_be_copied_to_where_the_service_may_read_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(folder, "64x48@30", monkeypatch)
    home = folder / "home"
    home.mkdir(0o700)
    shutil.copyfile(TINY_BUNDLE, home / "x.linegate")
    found = found_by(dataclasses.replace(line, bundle=home / "x.linegate"))
    assert found[Subject.ENGINE].outcome is Outcome.FAILED
    assert "x.linegate: the user nobody may not read it" in found[Subject.ENGINE].detail
    assert found[Subject.ENGINE].advice == "copy it to where the user nobody may read it"


def test_settings_that_only_root_may_read_are_a_failure_of_the_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(folder, "0", monkeypatch)
    line.service_config.chmod(0o600)
    failures = [one for one in checkup(line) if one.outcome is Outcome.FAILED]
    (unreadable,) = [one for one in failures if one.subject is Subject.CONFIGURATION]
    text = f"{line.service_config}: cannot be read: Permission denied (tried as the user nobody)"
    assert unreadable.detail == text


def test_a_camera_that_the_service_holds_is_left_to_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(folder, "0", monkeypatch)
    started_s = time.monotonic() + 60
    running = ServiceState(load="loaded", active="active", pid=1, started_s=started_s)
    found = found_by(dataclasses.replace(line, ask_service=lambda: running))
    assert found[Subject.CAMERA] == passed(Subject.CAMERA, "0: in use by the service, not opened")


@pytest.mark.parametrize(
    ("uid", "changes", "is_tried"),
    [
        (0, {}, True),
        (0, {"bundle": TINY_BUNDLE}, True),
        (0, {"service_user": "nobody-of-this-name"}, False),
        (0, {"overrides": Overrides(camera="64x48@30", source="fake")}, False),
        (0, {"service_config": Path("/none.toml"), "config": "OWN"}, False),
        (0, {"ask_service": lambda: None}, False),
        (1000, {}, False),
    ],
)
def test_only_root_with_the_services_own_settings_lets_its_user_try_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    changes: dict[str, object],
    *,
    is_tried: bool,
) -> None:
    line = line_of(tmp_path, "64x48@30", monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    tried: list[tuple[str, Trial]] = []

    def note(user: User, trial: Trial, limit_s: float) -> Iterator[Finding]:
        del limit_s
        tried.append((user.name, trial))
        yield passed(Subject.ENGINE, "tried by another")

    monkeypatch.setattr(as_user, "try_as", note)
    own = {"config": line.service_config} if changes.get("config") else {}
    changed = dataclasses.replace(line, **{**changes, **own})  # type: ignore[arg-type]
    found = found_by(changed)
    assert bool(tried) is is_tried
    assert ("tried by another" in found[Subject.ENGINE].detail) is is_tried
    for user, trial in tried:
        assert user == NOBODY
        assert (trial.settings, trial.bundle) == (line.service_config, changed.bundle)


def test_a_trial_survives_being_handed_over_with_its_paths_made_absolute() -> None:
    overrides = Overrides(empty=Path("empty.png"), region=Box(1, 2, 3, 4), part_size=Size(5, 6))
    held = Held(status="30 frames/s", is_own=True)
    given = Trial(settings=Path("/etc/x"), overrides=overrides, bundle=Path("b"), held=held)
    expected = msgspec.structs.replace(
        given,
        overrides=dataclasses.replace(overrides, empty=Path("empty.png").absolute()),
        bundle=Path("b").absolute(),
    )
    assert Trial.decode(given.encode()) == expected


def test_what_another_user_says_steers_no_terminal_and_is_told_as_theirs() -> None:
    spoilt = Finding(
        subject=Subject.CAMERA,
        outcome=Outcome.FAILED,
        detail="\x1b]0;\x07two\nlines",
        advice="\x9bm",
    )
    told = as_user._told_of(nobody(), spoilt)
    assert told.detail == "?]0;?two\nlines (tried as the user nobody)"
    assert told.advice == "?m"


def test_a_child_is_heard_on_what_it_was_asked_only() -> None:
    for subject in set(Subject) - as_user._SUBJECTS:
        with pytest.raises(ChildError, match="which it was not asked"):
            as_user._read(msgspec.json.encode(passed(subject, "all is well")))


def test_an_environment_is_a_services_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/root")
    monkeypatch.setenv("PATH", "/usr/bin")
    found = environment_of(nobody("/var/lib/x"))
    own = {"HOME", "USER", "LOGNAME", "PYTHONNOUSERSITE"}
    assert found.keys() <= {"PATH", "LANG", "LC_ALL", "TZ", *own}
    assert (found["PATH"], found["HOME"], found["USER"]) == ("/usr/bin", "/var/lib/x", NOBODY)
