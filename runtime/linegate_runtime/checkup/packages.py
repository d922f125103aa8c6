"""Are the packages those that were tested together, and does each load on this processor?"""

import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from linegate_runtime.checkup.base import Finding, Subject, failed, passed, warned
from linegate_runtime.checkup.child import LIMIT_S, ChildError, run_python
from linegate_runtime.distributions import find_versions
from linegate_runtime.identity import COMPUTING

_LIST = Path(sys.prefix) / "requirements.txt"
"""What the installer was given, left there for this check."""

_OWN = frozenset({"linegate", "linegate-runtime", "pip", "setuptools", "wheel"})
"""Installed beside the list, or part of a new environment."""

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*===?\s*(?P<version>[^\s;,#]+)"
    r"\s*(?P<marker>;.*)?"
)

_AGAIN = "run the installer again"

_ENGINES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "onnxruntime": "onnxruntime",
}
"""By distribution, what is imported of it."""

BASIC = ("numpy", "msgspec", "cv2")
"""Without these nothing that looks at pictures can be loaded."""


class Requirement(msgspec.Struct, frozen=True):
    """What a list asks for.

    Attributes:
        version: exactly this one.
        is_conditional: it has a marker, so another machine may need it only.
    """

    version: str
    is_conditional: bool


def parse_requirements(text: str) -> dict[str, Requirement]:
    """Read a list in pip's format: ``name==version ; marker``, each with its lines of hashes.

    Returns:
        By normalized name (PEP 503); lines that ask for no exact version are left out.
    """
    found = {}
    for line in re.sub(r"\\\n", " ", text.replace("\r\n", "\n")).split("\n"):
        asked = re.split(r"(?:^|\s)(?:--hash[=\s]|#)", line, maxsplit=1)[0].strip()
        match = _REQUIREMENT.fullmatch(asked)
        if match is not None:
            requirement = Requirement(match["version"], match["marker"] is not None)
            found[normalized(match["name"])] = requirement
    return found


def find_installed(folders: Sequence[str] | None = None) -> dict[str, str]:
    """Return the versions of the distributions in folders, by normalized name.

    Args:
        folders: None takes those of this environment, without the system's that it may show.
    """
    from importlib.metadata import distributions  # noqa: PLC0415 - slow, and few commands ask

    own = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return {
        normalized(distribution.name): distribution.version
        for distribution in distributions(path=list(dict.fromkeys(folders or own)))
        # What an interrupted installation leaves has no name.
        if distribution.name
    }


def normalized(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check_versions(
    file: Path = _LIST,
    installed: Mapping[str, str] | None = None,
    computing: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Compare what is installed with the list that the installer left.

    Args:
        file: the list; where there is none, what is installed is only named.
        installed: versions by normalized name; None looks.
        computing: versions of what computes; None looks.
    """
    if not file.is_file():
        known = find_versions(COMPUTING) if computing is None else computing
        names = ", ".join(f"{name} {version}" for name, version in known.items())
        yield passed(Subject.PACKAGES, f"no list of the installer to compare with; {names}")
        return
    wanted = parse_requirements(file.read_text(errors="replace"))
    found = find_installed() if installed is None else installed
    wrong = [
        f"{name} is {found.get(name, 'missing')}, expected {one.version}"
        for name, one in wanted.items()
        if found.get(name) != one.version and not (one.is_conditional and name not in found)
    ]
    added = [
        f"{name} {version}"
        for name, version in found.items()
        if name not in wanted and name not in _OWN
    ]
    if wrong:
        text = f"other packages than {file} lists: {'; '.join(sorted(wrong))}"
        yield failed(Subject.PACKAGES, text, _AGAIN)
    if added:
        text = f"more packages than {file} lists: {', '.join(sorted(added))}"
        advice = "make sure that the line needs them; they were not tested with it"
        yield warned(Subject.PACKAGES, text, advice)
    if not wrong and not added:
        yield passed(Subject.PACKAGES, f"exactly the {len(wanted)} of {file}")


def needed_modules(computing: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return what a line imports: the basic modules, and the engines that are installed."""
    known = find_versions(COMPUTING) if computing is None else computing
    return (*BASIC, *(module for name, module in _ENGINES.items() if name in known))


def import_problems(modules: Sequence[str], limit_s: float = LIMIT_S) -> dict[str, str]:
    """Import each module in a process of its own.

    Returns:
        What happens, as the rest of a sentence, by the modules that do not load.
    """
    problems = {}
    for module in modules:
        try:
            run_python(["-c", f"import {module}"], limit_s)
        except ChildError as error:
            problems[module] = str(error)
    return problems


def check_imports(modules: Sequence[str], problems: Mapping[str, str]) -> Iterator[Finding]:
    """Say which modules load.

    Args:
        modules: those that were tried.
        problems: see :func:`import_problems`.
    """
    for module, problem in problems.items():
        advice = f"{_AGAIN}, for this system and processor"
        if "SIGILL" in problem:
            advice = f"its wheel is for another processor; {advice}, or take a newer board"
        yield failed(Subject.PACKAGES, f"import {module} {problem}", advice)
    if not problems:
        names = ", ".join(module.partition(".")[0] for module in modules)
        yield passed(Subject.PACKAGES, f"all load: {names}")
