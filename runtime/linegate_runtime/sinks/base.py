"""What outputs must do: sinks tell of verdicts that are on record, gates move something.

A :class:`Sink` is fed from the record, at least once and in order, in a process and a thread of
its own; it may take its time, and what it cannot deliver is offered again. A :class:`Gate` has a
deadline: it acts on parts while they pass, and comes to rest in its safe state, in which nothing
is accepted, as soon as it is not told again and again that all is well.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, TypeVar

import msgspec

from linegate_bundle.manifest import Verdict

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

SinkName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of an output's options; fields of type ``Path`` are relative to the file.

    Attributes:
        name: tells it from others of its kind, and is what its place in the record is kept
            under; None takes the kind.
    """

    name: SinkName | None = None

    def problems(self) -> Mapping[str, str]:
        """Return what cannot work though each value is of its type, by key as sentences.

        Nothing is opened or reached for that. Keys are ``expected ..., got ...``.
        """
        return {}


class LineState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the line is just now.

    Attributes:
        is_ready: parts can be accepted: cameras see, the record takes rows, gates obey.
        reasons: why not, as sentences.
        parts: how many have got which verdict since the line was started.
    """

    is_ready: bool
    reasons: tuple[str, ...] = ()
    parts: Mapping[Verdict, int] = {}


OptionsT = TypeVar("OptionsT", bound=SinkOptions)


class Output(abc.ABC, Generic[OptionsT]):
    """A sink or a gate.

    A subclass takes exactly this argument and raises
    :class:`~linegate_bundle.errors.ConfigError` for options that cannot work. Making one reaches
    nothing outside but what must be had alone, such as a pin or a port: a receiver that is away
    is no mistake.

    Attributes:
        Options: type of the options.
    """

    Options: ClassVar[type[SinkOptions]] = SinkOptions

    @abc.abstractmethod
    def __init__(self, options: OptionsT) -> None: ...

    @abc.abstractmethod
    def close(self) -> None:
        """Let go what it holds, within a second; a second call does nothing.

        Another thread may be in a method at that time, which then raises or returns soon.
        """


class Sink(Output[OptionsT]):
    """Something that is told of each verdict once it is on record.

    Attributes:
        batch: so many parts are given to :meth:`deliver` at most.
        is_remembered: whether what was not delivered is delivered by the next run. Else it
            hears of this run's parts only, and in the line's own process.
    """

    batch: ClassVar[int] = 1
    is_remembered: ClassVar[bool] = True

    @abc.abstractmethod
    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """Pass on verdicts; when this returns, the receiver has them all.

        After an error the same ones are given again, so that a receiver may get some twice; it
        knows them by their UUID. One thread calls this, never two.

        Args:
            parts: at most :attr:`batch`, in the record's order.

        Raises:
            OutputError: the receiver cannot be reached, does not answer in time or refuses;
                the message says which and what to do.
            BrokenPipeError: the reader of the standard output has gone.
        """

    def show(self, state: LineState) -> None:
        """Take note of how the line is; called about ten times a second by another thread.

        Returns at once. Most sinks do not care.
        """
        del state


class Gate(Output[OptionsT]):
    """Something that moves parts, or tells what does, while they pass.

    It accepts a part only if :meth:`accept` came in time. All methods return at once and may
    be called by several threads.
    """

    @abc.abstractmethod
    def beat(self) -> None:
        """Hear that the line is alive; if that does not come for a while, nothing is accepted."""

    @abc.abstractmethod
    def expect(self, uuid: str, begun_ns: int, *, is_accepted: bool) -> None:
        """Hear of a part's verdict, before it is on record.

        Args:
            uuid: of the part's row.
            begun_ns: ``time.monotonic_ns()`` when the part came into view.
            is_accepted: whether :meth:`accept` may follow. If not, it is rejected at once or
                when its time has come.
        """

    @abc.abstractmethod
    def accept(self, uuid: str) -> None:
        """Hear that the acceptance of a part is on record."""

    @abc.abstractmethod
    def hold(self, reasons: Sequence[str]) -> None:
        """Rest in the safe state while there are reasons; with none, work again."""

    @property
    @abc.abstractmethod
    def problem(self) -> str | None:
        """Why it cannot work just now, as a sentence; None if it can."""

    @property
    def reach_s(self) -> float:
        """For so long a part that was seen and has no verdict may come by and not be rejected.

        0 where a part is rejected unless it is accepted.
        """
        return 0.0

    def check(self, deadline_s: float, commit_within_s: float) -> Mapping[str, str]:
        """Return what does not go with the line's deadlines, by key as sentences.

        Args:
            deadline_s: from a part's begin to the time when it surely has its verdict.
            commit_within_s: from there until it is written to disk.
        """
        del deadline_s, commit_within_s
        return {}
