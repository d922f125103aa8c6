import sys
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.images import read_image
from linegate_training.demo.elpv import lay_out


def test_missing_package_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    monkeypatch.setitem(sys.modules, "elpv_dataset.utils", None)
    with pytest.raises(DataError, match=r'pip install "linegate\[demo\]"'):
        lay_out(tmp_path / "photographs")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="expected an empty folder"):
        lay_out(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.demo
def test_cells_keep_their_order_pixels_and_class(tmp_path: Path) -> None:
    from elpv_dataset.utils import load_dataset

    folder = lay_out(tmp_path / "photographs")
    images, probabilities, _ = load_dataset()
    assert len(list((folder / "defective").iterdir())) == 821
    assert len(list((folder / "functional").iterdir())) == 1803
    for index in (0, 3, 1000, 2623):
        label = "defective" if probabilities[index] >= 0.5 else "functional"
        image = read_image(folder / label / f"cell{index + 1:04d}.png")
        np.testing.assert_array_equal(image, np.repeat(images[index][..., np.newaxis], 3, axis=-1))
    made = (folder / "defective" / "cell0001.png").stat().st_mtime_ns
    assert lay_out(folder) == folder
    assert (folder / "defective" / "cell0001.png").stat().st_mtime_ns == made
