"""All outputs of a line: gates, sinks in its own process, and the process of the others."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Verdict
from linegate_runtime.config import Plugin, RunConfig
from linegate_runtime.courier import Courier
from linegate_runtime.feed import Feed
from linegate_runtime.line_report import LineReport
from linegate_runtime.outputs_process import OutputsProcess
from linegate_runtime.outputs_protocol import Setup, SinkSetup, plain_options
from linegate_runtime.recorder import Commit, Recorder
from linegate_runtime.sinks import SINKS, Gate, Sink, SinkOptions
from linegate_runtime.toml_file import refuse

_LOG = logging.getLogger(__name__)

_DRAIN_S = 0.5


class LineOutputs:
    """Opens the outputs of a configuration and tells them what happens.

    Gates and what must be had alone is opened at once, the rest with :meth:`open`.

    Args:
        config: of the line.

    Raises:
        ConfigError: an output cannot work so.
    """

    def __init__(self, config: RunConfig) -> None:
        self._listen = config.metrics
        self._gates: list[Gate[Any]] = []
        self._near: list[tuple[str, Sink[Any]]] = []
        self._far: list[tuple[str, str, SinkOptions]] = []
        self._couriers: list[Courier] = []
        self._process: OutputsProcess | None = None
        self._reasons: tuple[str, ...] | None = None
        try:
            problems: list[str] = []
            for plugin in config.sinks:
                try:
                    self._add(plugin, config)
                except ConfigError as error:
                    problems.append(str(error))
            refuse(problems)
        except BaseException:
            self.close()
            raise

    def _add(self, plugin: Plugin, config: RunConfig) -> None:
        family = SINKS.load(plugin.kind)
        options = plugin.read_options(family.Options)
        name = options.name or plugin.kind
        path = getattr(options, "path", None)
        if isinstance(path, Path) and str(path.absolute()).startswith(
            str(config.record.absolute())
        ):
            text = f"expected another file than the record and what belongs to it, got {path}"
            raise ConfigError(plugin.table.problem("path", text))
        if issubclass(family, Gate):
            gate = family(options)
            self._gates.append(gate)
            problems = gate.check(config.verdict.deadline_s, config.keeping.commit_within_s)
            refuse([plugin.table.problem(key, text) for key, text in problems.items()])
        elif not issubclass(family, Sink):
            raise ConfigError(f"the sink {plugin.kind!r} is neither a Sink nor a Gate")
        elif family.is_remembered:
            self._far.append((name, plugin.kind, options))
        else:
            self._near.append((name, family(options)))

    @property
    def remembered(self) -> list[str]:
        """Names of the sinks whose places are kept on record."""
        return [name for name, _, _ in self._far]

    def open(
        self, record: Path, recorder: Recorder, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Begin to feed the sinks.

        Args:
            record: the record's file.
            recorder: puts parts on it.
            is_over: asked again and again while sinks are being opened; then it is not waited.

        Raises:
            ConfigError: a sink cannot work so.
            OutputError: the outputs' process cannot be started.
        """
        for name, sink in self._near:
            feed = Feed(record, recorder.name, recorder.last_number)
            self._couriers.append(Courier(name, sink, feed, _forget))
        if not self._far and self._listen is None:
            return
        setups = tuple(
            SinkSetup(
                name=name,
                kind=kind,
                options=plain_options(options),
                record=recorder.name,
                place=recorder.places[name],
            )
            for name, kind, options in self._far
        )
        setup = Setup(record=str(record.absolute()), sinks=setups, listen=self._listen)
        self._process = OutputsProcess(setup, recorder.note_place, is_over)

    @property
    def has_process(self) -> bool:
        """Whether anybody wants to be told how the line does."""
        return self._process is not None

    @property
    def has_no_reader(self) -> bool:
        """Whether the reader of the standard output has gone."""
        return any(courier.has_no_reader for courier in self._couriers)

    @property
    def problems(self) -> list[str]:
        """Why nothing can be accepted just now, as sentences."""
        found = [gate.problem for gate in self._gates]
        if self._process is not None:
            found.append(self._process.problem)
        return [problem for problem in found if problem is not None]

    def beat(self, reasons: Sequence[str]) -> None:
        """Say that the line is alive, and why nothing is to be accepted; returns at once."""
        for gate in self._gates:
            gate.beat()
        # Gates are told when it changes: a gate that is new has none.
        held = tuple(reasons)
        if held != self._reasons:
            self._reasons = held
            for gate in self._gates:
                gate.hold(held)

    @property
    def reach_s(self) -> float:
        """See :attr:`Gate.reach_s`; the longest of all gates."""
        return max((gate.reach_s for gate in self._gates), default=0.0)

    def expect(self, uuid: str, begun_ns: int, *, is_accepted: bool) -> None:
        """Tell the gates of a verdict that is not on record yet; returns at once."""
        for gate in self._gates:
            gate.beat()  # the model may have taken long
            gate.expect(uuid, begun_ns, is_accepted=is_accepted)

    def note_commit(self, commit: Commit) -> None:
        """Tell what is on record now; returns at once."""
        if self._gates:
            for part in commit.parts:
                if part.row.verdict is Verdict.ACCEPT:
                    for gate in self._gates:
                        gate.accept(part.row.uuid)
        for courier in self._couriers:
            courier.wake()
        if self._process is not None:
            self._process.note_commit()

    def pulse(self, report: LineReport) -> None:
        """Tell how the line does; returns at once."""
        if self._process is not None:
            self._process.pulse(report)

    def close(self) -> None:
        """Bring gates to rest in their safe state, deliver what can be at once, and end."""
        for gate in self._gates:
            gate.close()
        self._gates = []
        for courier in self._couriers:
            if not courier.has_no_reader:
                courier.drain(_DRAIN_S)
        if self._process is not None:
            self._process.close()
            self._process = None
        for courier in self._couriers:
            courier.close()
        self._couriers = []


def _forget(name: str, record: str, number: int) -> None:
    """Sinks that are not remembered have no place on record."""
