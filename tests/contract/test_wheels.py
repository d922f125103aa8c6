"""What users install: both wheels hold exactly the listed files.

``python -m tests.contract.test_wheels`` writes the lists anew; look at the difference
before you commit it.
"""

import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(__file__).parent / "wheels"
PROJECTS = {"linegate": ROOT, "linegate_runtime": ROOT / "runtime"}


def build(project: Path, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, project],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> list[str]:
    """Names in a wheel, without the version in the metadata folder's name."""
    version = wheel.name.split("-")[1]
    with zipfile.ZipFile(wheel) as archive:
        return sorted(
            name.replace(f"-{version}.dist-info", ".dist-info") for name in archive.namelist()
        )


@pytest.fixture(scope="module", params=PROJECTS)
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROJECTS[request.param], tmp_path_factory.mktemp(request.param))


def test_a_wheel_holds_exactly_the_listed_files(wheel: Path) -> None:
    listed = (LISTS / f"{wheel.name.split('-')[0]}.txt").read_text().splitlines()
    assert contents(wheel) == listed


def test_a_wheel_carries_the_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/LICENSE")]
        assert b"Apache License" in archive.read(name)


def test_the_device_never_asks_for_the_workstations_libraries(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    wheel = build(PROJECTS["linegate_runtime"], tmp_path_factory.mktemp("device"))
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    required = " ".join(metadata.get_all("Requires-Dist") or []).lower()
    assert "msgspec" in required
    for library in ("tensorflow", "keras", "tf2onnx", "matplotlib", "scikit"):
        assert library not in required


def update() -> None:
    LISTS.mkdir(exist_ok=True)
    for name, project in PROJECTS.items():
        with tempfile.TemporaryDirectory() as folder:
            names = contents(build(project, Path(folder)))
        (LISTS / f"{name}.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    update()
