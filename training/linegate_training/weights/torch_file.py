"""Reading the weights of a PyTorch ``.pth`` file with numpy alone, and without running it.

A ``.pth`` file is a pickle, which can name any function to call. This reader knows
the few names that a dictionary of tensors needs and refuses all others. Both
formats are read: the legacy one (five pickles, then the raw numbers) and the zip of
PyTorch 1.6 and later. https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

import collections
import dataclasses
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from linegate_bundle.errors import DataError

Array = npt.NDArray[Any]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_TYPES: Mapping[str, str] = {
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ShortStorage": "<i2",
}
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""What unpickling and unzipping raise for files that are not what they should be."""


def read_torch_file(path: Path) -> dict[str, Array]:
    """Read a dictionary of tensors.

    Returns:
        The tensors by name, each a contiguous array of its own.

    Raises:
        DataError: missing, cut short, not such a file, or one that asks for code to be run.
    """
    try:
        with path.open("rb") as file:
            read = _read_zip if zipfile.is_zipfile(file) else _read_legacy
            file.seek(0)
            return read(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: expected a PyTorch file that holds a dictionary of tensors and nothing "
            f"else: {error}; use the original file"
        ) from error


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A block of numbers in the file; tensors are views of it."""

    key: str
    dtype: np.dtype[Any]
    length: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, numbers: Array) -> Array:
        """Copy the tensor out of its storage; refuses to look outside of it."""
        fields = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or min(fields) < 0:
            raise ValueError(f"a tensor has no valid shape: {self.shape} with {self.strides}")
        if math.prod(self.shape) > len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} is larger than its storage")
        last = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if 0 not in self.shape and last >= len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} reaches outside its storage")
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :],
            self.shape,
            [stride * numbers.itemsize for stride in self.strides],
            writeable=False,
        )
        return view.copy()


class _Unpickler(pickle.Unpickler):
    """Knows tensors and ordered dictionaries, and no other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in {"_rebuild_tensor", "_rebuild_tensor_v2"}:
            return _rebuild_tensor
        if module == "torch" and name in _TYPES:
            return np.dtype(_TYPES[name])
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _, length = identity[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(length, int):
            raise pickle.UnpicklingError(f"expected a storage, got {identity!r}")
        return _Storage(str(key), dtype, length)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError(f"expected a tensor's storage, got {storage!r}")
    numbers = (offset, *shape, *strides)
    if not all(type(number) is int for number in numbers):
        raise pickle.UnpicklingError(f"expected whole numbers for a tensor, got {numbers!r}")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _read_zip(file: BinaryIO) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"expected one data.pkl, got {names}")
        root = names[0].removesuffix("data.pkl")
        tensors = _tensors(_Unpickler(io.BytesIO(archive.read(names[0]))).load())
        numbers = {
            tensor.storage.key: _numbers(
                tensor.storage, archive.read(f"{root}data/{tensor.storage.key}")
            )
            for tensor in tensors.values()
        }
    return {name: tensor.read(numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_legacy(file: BinaryIO) -> dict[str, Array]:
    header = (_Unpickler(file).load(), _Unpickler(file).load())
    if header != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise ValueError("the first bytes are not those of a PyTorch file")
    _Unpickler(file).load()  # The byte order of the machine that wrote it; always little.
    tensors = _tensors(_Unpickler(file).load())
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {}
    for key in _Unpickler(file).load():
        storage = storages[str(key)]
        (length,) = struct.unpack("<q", file.read(8))
        if length != storage.length:
            raise ValueError(f"storage {key}: expected {storage.length} numbers, got {length}")
        numbers[storage.key] = _numbers(storage, file.read(length * storage.dtype.itemsize))
    return {name: tensor.read(numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _tensors(content: Any) -> dict[str, _Tensor]:
    if not isinstance(content, dict):
        raise TypeError(f"expected a dictionary, got {type(content).__name__}")
    return {str(name): value for name, value in content.items() if isinstance(value, _Tensor)}


def _numbers(storage: _Storage, content: bytes) -> Array:
    expected = storage.length * storage.dtype.itemsize
    if storage.length < 0 or len(content) != expected:
        raise ValueError(f"storage {storage.key}: expected {expected} bytes, got {len(content)}")
    return np.frombuffer(content, storage.dtype)
