"""What an inference engine must do: run one model, one input at a time."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from linegate_bundle.manifest import Engine, ModelEntry, ModelFormat

Tensor = npt.NDArray[Any]


class Backend(abc.ABC):
    """An open model in an engine.

    A subclass takes exactly these arguments and raises
    :class:`~linegate_bundle.errors.EngineError` if the engine is not installed
    or refuses the model, and :class:`~linegate_bundle.errors.BundleError` if the
    model's inputs and outputs are not those of ``entry``.

    Args:
        entry: the model as the manifest describes it.
        content: the bytes of the model file.
        threads: how many threads one call may use.

    Attributes:
        format: the file format that it runs, or None if it opens any entry.
    """

    format: ClassVar[ModelFormat | None]

    @abc.abstractmethod
    def __init__(self, entry: ModelEntry, content: bytes, threads: int = 1) -> None: ...

    @classmethod
    @abc.abstractmethod
    def installed(cls) -> bool:
        """Tell whether the engine is there, without loading it."""

    @property
    @abc.abstractmethod
    def engine(self) -> Engine:
        """Name, version and kernel of the engine."""

    @abc.abstractmethod
    def invoke(self, tensor: Tensor, outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the model once.

        Args:
            tensor: the input, of ``entry.input``'s shape and dtype.
            outputs: signature names of the outputs that are wanted; None wants all.

        Returns:
            The outputs by signature name, as stored (not dequantized); new arrays.

        Raises:
            EngineError: wrong shape or dtype, or the engine failed.
        """

    def invoke_batch(self, tensors: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """Run the model on several inputs, one by one unless the engine can take them at once.

        Args:
            tensors: the inputs, of shape ``(n, ...)`` where :meth:`invoke` takes ``(1, ...)``.
            outputs: signature names of the outputs that are wanted.

        Returns:
            The outputs by signature name, of shape ``(n, ...)``; the same bytes as one by one.

        Raises:
            EngineError: as :meth:`invoke`.
        """
        given = [
            self.invoke(tensors[number : number + 1], outputs) for number in range(len(tensors))
        ]
        return {name: np.concatenate([one[name] for one in given]) for name in outputs}

    @abc.abstractmethod
    def close(self) -> None:
        """Free the model; a second call does nothing."""
