"""What a sink must do: pass on verdicts that are in the record."""

import abc
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from linegate_runtime.record import PartRow


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a sink's options; fields of type ``Path`` are relative to the file."""


OptionsT = TypeVar("OptionsT", bound=SinkOptions)


class Sink(abc.ABC, Generic[OptionsT]):
    """Something that wants to know each verdict.

    A subclass takes exactly this argument and raises
    :class:`~linegate_bundle.errors.ConfigError` for options that cannot work and
    :class:`~linegate_bundle.errors.OutputError` if it cannot reach its receiver.

    Attributes:
        Options: type of the options.
    """

    Options: ClassVar[type[SinkOptions]] = SinkOptions

    @abc.abstractmethod
    def __init__(self, options: OptionsT) -> None: ...

    @abc.abstractmethod
    def announce(self, row: "PartRow") -> None:
        """Pass on a verdict; its row is on disk already.

        Raises:
            OutputError: the receiver cannot be reached.
            BrokenPipeError: the reader of the standard output has gone.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let the receiver go; a second call does nothing."""
