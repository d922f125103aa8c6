"""Pixels are prepared to the same bytes on x86 and on an emulated ARM board."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arm64.guest import Guest

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1200)]

SCRIPT = Path(__file__).with_name("answers.py")
INSIDE = Path("/mnt/answers.py")


def test_every_way_of_preprocessing_gives_the_same_bytes(device: Guest) -> None:
    here = subprocess.run(
        [sys.executable, str(SCRIPT), "pixels"], capture_output=True, check=True, text=True
    )
    expected = json.loads(here.stdout)
    got = json.loads(device.seeing(SCRIPT, INSIDE).run(device.python, INSIDE, "pixels"))
    assert len(expected) > 500
    assert got.keys() == expected.keys()
    assert [name for name in expected if got[name] != expected[name]] == []
