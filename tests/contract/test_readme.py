"""What the README tells a new user to type is what is there, and what CI runs."""

import re
from pathlib import Path

import pytest

from linegate_bundle import errors
from linegate_runtime.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
FIRST_SCREEN_LINES = 45


def code(text: str) -> str:
    """All code blocks and code words of a Markdown text."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


def test_both_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:FIRST_SCREEN_LINES])
    blocks = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", first, re.DOTALL))
    commands = re.findall(r"^make (\w+)", blocks, re.MULTILINE)
    assert commands == ["demo", "test"]


def test_ci_runs_the_readmes_test_command_and_then_the_rehearsals_of_a_board() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    # Before it, only what a system can have more or less of is installed.
    assert re.findall(r"\b(?:make|pytest|pip|python3?)\b.*", code_of(text)) == [
        "make test",
        "make rehearsal",
        "make arm64 CORES=a72 SUITES=bookworm",
    ]


def code_of(script: str) -> str:
    """Return a shell script without its comments."""
    return re.sub(r"^\s*#.*$", "", script, flags=re.MULTILINE)


def test_every_make_target_in_the_readmes_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILE, re.MULTILINE))
    benchmarks = re.search(r"^BENCHMARKS := (.*)$", MAKEFILE, re.MULTILINE)
    assert benchmarks is not None
    targets |= {f"bench-{name}" for name in benchmarks[1].split()}
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md")]:
        named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", code(path.read_text())))
        assert named <= targets, path


def test_every_benchmark_has_a_module() -> None:
    benchmarks = re.search(r"^BENCHMARKS := (.*)$", MAKEFILE, re.MULTILINE)
    assert benchmarks is not None
    for name in benchmarks[1].split():
        assert (ROOT / "tests" / "benchmarks" / f"{name.replace('-', '_')}.py").is_file()


def test_every_linegate_command_in_the_readmes_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = set(re.findall(r"^    ([a-z-]+)\b", capsys.readouterr().out, re.MULTILINE))
    for path in [ROOT / "README.md", *ROOT.glob("*/README.md")]:
        # A user and an image are called the same.
        text = re.sub(r"(-u|--tag) linegate\b", "", code(path.read_text()))
        named = set(re.findall(r"\blinegate ([a-z]+(?:-[a-z]+)*)\b", text))
        assert named <= commands, path


def test_every_file_that_a_readme_links_to_is_there() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_no_placeholder_is_left_in_a_readme() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md")]:
        assert "@@" not in path.read_text(), path


def test_the_top_level_holds_only_what_the_design_lists() -> None:
    made = {".git", "build", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache",
            ".import_linter_cache"}  # fmt: skip
    top = {path.name for path in ROOT.iterdir()} - made
    assert top <= {
        ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
        "deploy", "export", "pyproject.toml", "requirements", "runtime", "tests", "training",
    }  # fmt: skip


def test_every_exit_code_is_documented_alike(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = dict(re.findall(r"^ {0,2}(\d+)  (.+)$", capsys.readouterr().out, re.MULTILINE))
    listed = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code) for code in shown} == {int(code) for code in listed}
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.LinegateError)}
    assert codes <= {int(code) for code in shown}
