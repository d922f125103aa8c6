"""The container file's image for linux/arm64: built and run on an emulated processor."""

from pathlib import Path

import pytest

from tests.arm64.guest import IS_FULL
from tests.deploy.container import Builder, missing, verifies_and_judges

pytestmark = [
    pytest.mark.arm64,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not IS_FULL, reason="takes minutes; make arm64-full"),
]


@pytest.mark.usefixtures("tree")  # whose making lets the kernel run programs for ARM
def test_the_image_verifies_a_bundle_and_judges(
    kit: Path, suite: str, core: str, tmp_path: Path
) -> None:
    if suite != "bookworm":
        pytest.skip("its base is Debian bookworm")
    if reason := missing():
        pytest.skip(reason)
    store, folder = tmp_path / "store", tmp_path / "run"
    store.mkdir()
    folder.mkdir()
    tmp_path.chmod(0o755)
    builder = Builder(store)
    builder.build(kit, "arm64", "linegate")
    with builder.unpacked("linegate") as disk:
        verifies_and_judges(disk, builder.settings("linegate"), folder, fps=2, core=core)
