"""Writing ``.pth`` files of both formats without PyTorch."""

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}


class _Global:
    """Pickles as a name that the reader has to look up."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class _Call:
    """Pickles as a call of a name."""

    def __init__(self, function: _Global, *arguments: object) -> None:
        self.function = function
        self.arguments = arguments


class _Storage:
    def __init__(self, key: str, array: npt.NDArray[Any]) -> None:
        self.key = key
        self.array = array


class _Pickler(pickle._Pickler):
    """The pickler in Python, which can be taught new types."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def persistent_id(self, value: object) -> object:
        if not isinstance(value, _Storage):
            return None
        kind = _Global("torch", _STORAGES[value.array.dtype.name])
        return ("storage", kind, value.key, "cpu", value.array.size)


def _save_global(pickler: Any, value: _Global) -> None:
    pickler.write(b"c" + f"{value.module}\n{value.name}\n".encode())


def _save_call(pickler: Any, value: _Call) -> None:
    pickler.save(value.function)
    pickler.save(value.arguments)
    pickler.write(pickle.REDUCE)


_Pickler.dispatch[_Global] = _save_global
_Pickler.dispatch[_Call] = _save_call


def pickled(value: object) -> bytes:
    """Pickle as PyTorch does, protocol 2."""
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


def call(module: str, name: str, *arguments: object) -> object:
    """Return something that pickles as a call of ``module.name``."""
    return _Call(_Global(module, name), *arguments)


def tensor(
    storage: object, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> object:
    """Return something that pickles as a tensor."""
    hooks: collections.OrderedDict[str, object] = collections.OrderedDict()
    return call("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, hooks)


def storage(key: str, array: npt.NDArray[Any]) -> object:
    """Return something that pickles as the numbers of a tensor."""
    return _Storage(key, array)


def _state(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, object]:
    return {
        name: tensor(
            storage(str(number), array),
            0,
            array.shape,
            tuple(stride // array.itemsize for stride in array.strides),
        )
        for number, (name, array) in enumerate(arrays.items())
    }


def legacy_file(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Write arrays in the format before PyTorch 1.6."""
    content = b"".join(
        pickle.dumps(value, 2) for value in (_MAGIC, _PROTOCOL, {"little_endian": True})
    )
    content += pickled(_state(arrays))
    content += pickle.dumps([str(number) for number in range(len(arrays))], 2)
    for array in arrays.values():
        content += struct.pack("<q", array.size) + array.tobytes()
    return content


def zip_file(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Write arrays in the format of PyTorch 1.6 and later."""
    return zip_of(
        pickled(_state(arrays)),
        {str(number): array.tobytes() for number, array in enumerate(arrays.values())},
    )


def zip_of(data: bytes, storages: Mapping[str, bytes]) -> bytes:
    """Put a pickle and the numbers beside it into a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for key, numbers in storages.items():
            archive.writestr(f"archive/data/{key}", numbers)
        archive.writestr("archive/version", np.bytes_(b"3\n"))
    return file.getvalue()
