import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linegate_bundle.errors import DataError
from linegate_training.weights.torch_file import read_torch_file
from tests.training import torch_files

ARRAYS: dict[str, npt.NDArray[Any]] = {
    "conv.weight": np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "half": np.array([0.5, -2.0], np.float16),
}
WRITERS = [torch_files.legacy_file, torch_files.zip_file]
Writer = Callable[[Mapping[str, npt.NDArray[Any]]], bytes]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("write", WRITERS)
def test_tensors_come_back_as_they_were_written(write: Writer, tmp_path: Path) -> None:
    arrays = read_torch_file(written(tmp_path / "weights.pth", write(ARRAYS)))
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("write", WRITERS)
def test_transposed_tensors_are_read_by_their_strides(write: Writer, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = write({"a": np.asfortranarray(array)})
    # The writer stores the bytes in C order; with Fortran strides they mean the other order.
    expected = array.ravel().reshape(3, 2).T
    np.testing.assert_array_equal(
        read_torch_file(written(tmp_path / "weights.pth", content))["a"], expected
    )


def hostile(marker: Path) -> list[bytes]:
    """Return files that make ``marker`` when they are unpickled without care."""
    command = f"touch {marker}"
    calls = [
        torch_files.call(os.name, "system", command),
        torch_files.call("builtins", "eval", f"__import__('os').system({command!r})"),
        torch_files.call("torch", "load", str(marker)),
    ]
    files = [torch_files.zip_of(torch_files.pickled({"a": call}), {}) for call in calls]
    return [*files, torch_files.pickled(calls[0]), torch_files.pickled({"a": calls[1]})]


@pytest.mark.parametrize("number", range(5))
def test_file_that_asks_for_code_is_refused_and_nothing_runs(number: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = written(tmp_path / "weights.pth", hostile(marker)[number])
    with pytest.raises(DataError, match=r"asks for .* which is not allowed"):
        read_torch_file(path)
    assert not marker.exists()


def test_hostile_file_would_run_in_a_plain_unpickler(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(hostile(marker)[3])  # noqa: S301 - shows that the test above can fail
    assert marker.exists()


NUMBERS = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (2, 2), (4, 1)),
        (0, (2,), (-1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2**62, 2**62), (0, 0)),
        (0, ("2",), (1,)),
    ],
)
def test_tensor_that_reaches_outside_its_numbers_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], tmp_path: Path
) -> None:
    state = {"a": torch_files.tensor(torch_files.storage("0", NUMBERS), offset, shape, strides)}
    content = torch_files.zip_of(torch_files.pickled(state), {"0": NUMBERS.tobytes()})
    with pytest.raises(DataError, match="dictionary of tensors"):
        read_torch_file(written(tmp_path / "weights.pth", content))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(write=st.sampled_from(WRITERS), data=st.data())
def test_damaged_file_is_refused_or_read_but_never_crashes(
    write: Writer, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(write(ARRAYS))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        arrays = read_torch_file(written(tmp_path / "weights.pth", bytes(content)))
    except DataError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize("write", WRITERS)
def test_every_truncation_is_refused(write: Writer, tmp_path: Path) -> None:
    content = write(ARRAYS)
    for length in range(0, len(content) - 1, 7):
        with pytest.raises(DataError):
            read_torch_file(written(tmp_path / "weights.pth", content[:length]))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_torch_file(tmp_path / "none.pth")
