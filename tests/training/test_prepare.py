import shutil
from pathlib import Path

import numpy as np
import pytest

from linegate_bundle.errors import DataError
from linegate_bundle.manifest import Colour, Fit, PreprocessSpec, Resize
from linegate_bundle.run_folder import Part, encode_split
from linegate_training.data.prepare import Prepared, prepare, split_only
from linegate_training.data.roles import assign_roles
from linegate_training.data.source import load_dataset
from linegate_training.data.split_options import SplitOptions
from linegate_training.options import CorruptImages, TrainOptions
from tests.training.pictures import write_photographs

SPEC = PreprocessSpec(
    colour=Colour.GRAY,
    region=None,
    width=8,
    height=8,
    resize=Resize.LINEAR_EXACT,
    fit=Fit.STRETCH,
)


def prepared(folder: Path, **options: object) -> Prepared:
    cache = folder.parent / "cache"
    given = TrainOptions(data=folder, out=Path("unused"), cache=cache, **options)  # type: ignore[arg-type]
    return prepare(load_dataset(folder), SPEC, given)


def test_groups_of_a_pattern_stay_together(photographs: Path) -> None:
    rows = prepared(photographs, group_pattern=r"part(\d+)_").rows
    parts: dict[str, set[Part]] = {}
    for row in rows:
        parts.setdefault(row.group, set()).add(row.part)
    assert len(parts) == 30
    assert all(len(part) == 1 for part in parts.values())


def test_a_split_given_back_is_kept(photographs: Path, tmp_path: Path) -> None:
    first = prepared(photographs, group_block=3, seed=5)
    path = tmp_path / "split.csv"
    path.write_bytes(encode_split(list(reversed(first.rows))))
    assert prepared(photographs, split=path, seed=6).rows == first.rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "good" / "part000_0.png").unlink(), "1 are gone: good/part000_0"),
        (
            lambda folder: (folder / "good" / "part000_0.png").rename(folder / "good" / "new.png"),
            "1 are not in it: good/new.png",
        ),
        (
            lambda folder: (folder / "good" / "part000_0.png").write_bytes(
                (folder / "good" / "part000_1.png").read_bytes()
            ),
            "1 have changed: good/part000_0",
        ),
    ],
)
def test_a_split_of_other_images_is_refused(
    photographs: Path,
    tmp_path: Path,
    change: object,
    message: str,
) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes(encode_split(list(prepared(photographs).rows)))
    change(photographs)  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        prepared(photographs, split=path)


def test_corrupt_images_are_named_and_counted(photographs: Path) -> None:
    (photographs / "good" / "one.png").write_bytes(b"no image")
    (photographs / "scratch" / "two.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 92 images.*good/one.png .*scratch/two.jpg .*--skip"):
        prepared(photographs)


def test_corrupt_images_are_left_out_when_asked(photographs: Path) -> None:
    (photographs / "good" / "one.png").write_bytes(b"no image")
    result = prepared(photographs, corrupt_images=CorruptImages.SKIP)
    assert len(result.rows) == 90
    assert "good/one.png" not in {row.path for row in result.rows}


def test_the_same_broken_file_in_two_classes_is_left_out_too(photographs: Path) -> None:
    for label in ("good", "scratch"):
        (photographs / label / "empty.png").write_bytes(b"")
    result = prepared(photographs, corrupt_images=CorruptImages.SKIP)
    assert len(result.rows) == 90


def test_a_split_that_is_missing_is_found_before_the_images_are_decoded(
    photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"expected the split.csv of a run, .*No such file"):
        prepared(photographs, split=tmp_path / "split.csv")
    assert not (photographs.parent / "cache").exists()


def test_a_class_of_nothing_but_corrupt_images_is_refused(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", {"good": 5, "scratch": 5})
    (folder / "dent").mkdir()
    (folder / "dent" / "one.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="found none in dent"):
        prepared(folder, corrupt_images=CorruptImages.SKIP)


def test_weights_and_targets_follow_the_rows_of_a_part(photographs: Path) -> None:
    paths = sorted(path.relative_to(photographs).as_posix() for path in photographs.rglob("*.png"))
    lines = [
        f"{path},{path.split('/')[0]},{number % 3},{0.9 if number % 2 else ''}"
        for number, path in enumerate(paths)
    ]
    table = photographs / "images.csv"
    table.write_text("\n".join(["path,label,weight,soft_label", *lines]))
    result = prepared(table)
    labels = assign_roles(result.dataset.labels, ())
    for part in Part:
        rows = result.part(part)
        targets = result.targets(part, labels)
        assert targets.dtype == result.weights(part).dtype == np.float32
        numbers = [paths.index(row.path) for row in rows]
        np.testing.assert_array_equal(result.weights(part), [number % 3 for number in numbers])
        own = [[label.name for label in labels].index(row.label) for row in rows]
        shares = [0.9 if number % 2 else 1.0 for number in numbers]
        np.testing.assert_allclose(targets[range(len(rows)), own], shares, rtol=1e-6)
        np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)


def test_the_same_table_gives_the_same_split(photographs: Path) -> None:
    table = photographs / "images.csv"
    lines = [f"{path.relative_to(photographs).as_posix()},{path.parent.name}"
             for path in photographs.rglob("*.png")]  # fmt: skip
    table.write_text("\n".join(["path,label", *sorted(lines)]))
    first = prepared(table).rows
    table.write_text("\n".join(["path,label", *sorted(lines, reverse=True)]))
    assert prepared(table).rows == first
    options = SplitOptions()
    cache = photographs.parent / "cache"
    assert split_only(table, options, CorruptImages.REFUSE, cache) == first


def test_a_wrong_soft_label_in_a_split_given_back_is_refused(
    photographs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "split.csv"
    rows = prepared(photographs).rows
    text = encode_split(list(rows)).decode().replace(",1,\n", ",1,good=0.5;hole=0.5\n", 1)
    path.write_text(text)
    with pytest.raises(DataError, match=r"part000_0\.png: soft label: expected labels among good"):
        prepared(photographs, split=path)


def test_one_picture_in_two_classes_is_refused(photographs: Path) -> None:
    shutil.copy(photographs / "good" / "part000_0.png", photographs / "scratch" / "copy.png")
    with pytest.raises(DataError, match=r"good/part000_0.png = scratch/copy.png"):
        prepared(photographs)
