"""The files that an installer puts on a board."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from linegate_runtime.config_file import Overrides, load_config

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "deploy" / "linegate_deploy" / "board"
TEMPLATE = (BOARD / "linegate.toml").read_text()
ASSIGNMENT = re.compile(r"^# (\[+[a-z.]+\]+|[a-z_]+ = .*)$")


def test_the_template_is_a_configuration_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "linegate.toml"
    path.write_text(TEMPLATE)
    config = load_config(path, Overrides())
    assert str(config.bundle) == "/var/lib/linegate/bundle.linegate"
    config.check_plugins()


def test_every_example_in_the_template_is_valid_where_it_stands(tmp_path: Path) -> None:
    lines = []
    for line in TEMPLATE.splitlines():
        found = ASSIGNMENT.match(line)
        lines.append(found[1] if found else line)
    text = "\n".join(lines)
    head, _, rest = text.partition("[trigger]\n")
    trigger, _, rest = rest.partition("\n# A line may be stricter")
    # The second kind is another choice.
    presence, _, gpio = trigger.partition("\n#\n")
    for name in ("empty.png", "mqtt.password"):
        (tmp_path / name).write_bytes(b"")
    for choice in (presence, gpio.replace("# ", "")):
        path = tmp_path / "linegate.toml"
        path.write_text(f"{head}[trigger]\n{choice}\n# A line may be stricter{rest}\n")
        config = load_config(path, Overrides())
        assert len(config.sinks) == 2
        assert config.metrics is not None
        assert config.pictures is not None


@pytest.mark.parametrize(
    "script", [BOARD / "install.sh", *sorted((ROOT / "deploy" / "arm64").glob("*.sh"))]
)
def test_scripts_are_clean_under_shellcheck(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("apt install shellcheck")
    done = subprocess.run(
        ["shellcheck", "--norc", "--external-sources", "--check-sourced", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_the_installer_beside_this_folders_readme_is_the_one_that_kits_carry() -> None:
    assert (ROOT / "deploy" / "install.sh").resolve() == BOARD / "install.sh"


def test_what_the_installer_and_the_unit_call_things_is_the_same() -> None:
    script, unit = (BOARD / "install.sh").read_text(), (BOARD / "linegate.service").read_text()
    app, data = re.findall(r"^(?:APP|DATA)=(\S+)$", script, re.MULTILINE)
    assert f"ExecStart={app}/env/bin/linegate run --config /etc/linegate/linegate.toml" in unit
    assert f"WorkingDirectory={data}" in unit
    (signed,) = re.findall(r'^SIGNED="(.*)"$', script, re.MULTILINE)
    assert signed in unit
    assert signed in (BOARD / "journald.conf").read_text()


def test_the_units_exposure_is_at_most_two() -> None:
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("apt install systemd")
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            BOARD / "linegate.service",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", done.stdout)
    assert found is not None
    assert float(found[1]) <= 2.0
