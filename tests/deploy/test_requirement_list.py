"""Hashed lists for machines that this one is not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from linegate_bundle.errors import ConfigError
from linegate_deploy.platforms import PLATFORMS
from linegate_deploy.requirement_list import Pin, as_text, pins_for

ROOT = Path(__file__).resolve().parents[2]
DEVICE = (ROOT / "requirements" / "device.txt").read_text()
ANYWHERE = PLATFORMS["rpi-bookworm"].markers("3.11")

pins = st.lists(
    st.builds(
        Pin,
        name=st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8})?", fullmatch=True),
        version=st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}", fullmatch=True),
        hashes=st.lists(
            st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True), min_size=1, max_size=3
        ).map(tuple),
    ),
    max_size=6,
)


@given(pins)
def test_what_is_written_is_read_again(listed: list[Pin]) -> None:
    assert pins_for(as_text(listed), ANYWHERE) == listed


@pytest.mark.parametrize(
    ("platform", "python", "has_lgpio"),
    [
        (platform, python, platform.machine == "aarch64" and python != "3.13")
        for platform in PLATFORMS.values()
        for python in platform.pythons
    ],
)
def test_markers_mean_the_board_and_not_this_machine(
    platform: object, python: str, *, has_lgpio: bool
) -> None:
    found = {pin.name for pin in pins_for(DEVICE, platform.markers(python))}  # type: ignore[attr-defined]
    assert ("lgpio" in found) is has_lgpio
    assert {"numpy", "ai-edge-litert", "onnxruntime", "opencv-python-headless"} <= found


@pytest.mark.parametrize(
    "line",
    ["numpy", "numpy>=2 --hash=sha256:" + "0" * 64, "numpy==2", "-e .", "numpy==2 --hash=md5:00"],
)
def test_what_is_not_pinned_with_a_hash_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME==VERSION with hashes"):
        pins_for(line, ANYWHERE)


def test_the_list_has_one_version_of_each_distribution() -> None:
    for platform in PLATFORMS.values():
        for python in platform.pythons:
            names = [pin.name for pin in pins_for(DEVICE, platform.markers(python))]
            assert len(names) == len(set(names))


def test_every_extra_of_the_runtime_is_in_the_list_of_boards() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "runtime" / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        Requirement(text).name
        for name, texts in extras.items()
        for text in [*texts, *project["dependencies"]]
        if name != "tflite-runtime"
    }
    assert wanted <= {pin.name for pin in pins_for(DEVICE, ANYWHERE)}
