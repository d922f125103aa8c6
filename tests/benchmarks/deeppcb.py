"""The crops of DeepPCB that lie in the repository, unpacked; see ``tests/data/README.md``."""

import tarfile
from pathlib import Path

from tests.benchmarks.bench import FOLDER

_ARCHIVE = Path("tests/data/deeppcb_crops.tar.gz")


def unpack() -> Path:
    """Return the folder with ``train`` and ``test``, unpacked unless it is there already."""
    folder = FOLDER / "deeppcb"
    crops = folder / "deeppcb_crops"
    if not crops.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "unpacking"
        with tarfile.open(_ARCHIVE) as archive:
            archive.extractall(temporary, filter="data")
        (temporary / crops.name).rename(crops)
        temporary.rmdir()
    return crops
