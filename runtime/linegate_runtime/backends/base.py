"""What an inference engine must do: run one model, one input at a time."""

import abc
from typing import Any, ClassVar

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
    def invoke(self, tensor: Tensor) -> dict[str, Tensor]:
        """Run the model once.

        Args:
            tensor: the input, of ``entry.input``'s shape and dtype.

        Returns:
            The outputs by signature name, as stored (not dequantized). They stay
            valid until the next call only.

        Raises:
            EngineError: wrong shape or dtype, or the engine failed.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Free the model; a second call does nothing."""
