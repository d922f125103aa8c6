"""Verdicts in Modbus registers, for a programmable controller (PLC).

Either linegate is the server, ``listen``, and the controller polls it; or linegate is the client,
``address``, and writes into the controller. The registers are the same: holding registers of 16
bits from ``first_register`` on, in requests counted from 0 (0 is what many tools call 40001).
Values of 32 bits take two, the high word first.

====== =========== ===========================================================================
offset register    value
====== =========== ===========================================================================
0      state       1 ready, 0 not
1      heartbeat   rises by one about every 100 ms while ready; after 65535 comes 0
2      verdict     0 none yet, 1 accept, 2 reject, 3 unsure
3      reason      0 none yet, 1 vote, 2 few, 3 late, 4 unseen, 5 override (as in the record);
                   6 withheld: the verdict was too old, or the line not ready since it came
4      label       the label's place in the bundle's list, from 1; 0 none
5, 6   accepted    verdicts of each kind since this output was started, as they are on record,
7, 8   rejected    withheld or not
9, 10  unsure
11, 12 part        the part counter: 0 none yet; else the part's number in the record. It rises
                   by one with each verdict, and stays when one is presented again
13, 14 acknowledge written by the controller: the part counter that it has taken
====== =========== ===========================================================================

For the controller's program:

- Read registers 0 to 12 (0 to 14) in one request; they belong together. Who cannot reads the part
  counter first and last, and takes the rest only if it has not changed. As a client linegate
  writes them in one request, the part counter last.
- A part counter that has changed is a new verdict. One that rose by more than one has left verdicts
  out (without ``handshake``); the counts tell which kinds they were.
- Accept a part only if state is 1, verdict is 1, and the heartbeat has changed within the last
  500 ms. When the line is not ready, the verdict is 2; a verdict that was withheld once stays so.
  If linegate is gone altogether, only the heartbeat tells.
- With ``handshake`` write the part counter to acknowledge, both registers in one request, when the
  verdict is taken. The next one comes only then. After a restart the last one may come again, with
  the same part counter: acknowledge it, and do not act on it twice. Clear acknowledge when the
  record is begun anew.
- Without ``handshake`` a verdict is replaced by the next, and of several that wait only the newest
  is presented. Nothing but its age tells that it is not for the part before the gate: let
  ``max_age_s`` be less than the time from one part to the next.
- Modbus knows no passwords: who reaches the port may read, and write acknowledge.

Source: Modbus Application Protocol V1.1b3, Modbus Messaging on TCP/IP V1.0b.
"""

import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime import host_port
from linegate_runtime.machine import boot_id
from linegate_runtime.sinks.base import LineState, Sink, SinkOptions
from linegate_runtime.sinks.loop_thread import LoopThread
from linegate_runtime.sinks.modbus_client import ModbusClient
from linegate_runtime.sinks.modbus_registers import TOTAL, counter_of
from linegate_runtime.sinks.modbus_server import ModbusServer
from linegate_runtime.sinks.presentation import Presentation, Seconds

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

_START_S = 10.0

_ITSELF = 255
"""The unit that means the device with that address itself. Source: Modbus Messaging on TCP/IP
Implementation Guide V1.0b, section 4.4.2."""


class ModbusOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the Modbus sink; one of ``listen`` and ``address`` is needed.

    Attributes:
        listen: ``HOST:PORT`` where linegate is the server; 0.0.0.0 is reached from everywhere.
        address: ``HOST:PORT`` of the controller that linegate writes into.
        unit: unit identifier. With ``listen`` only requests for it are answered, None answers
            all. With ``address`` requests go to it; None is 255, the device itself.
        first_register: where the registers begin, from 0.
        handshake: the next verdict is presented only when the controller has acknowledged
            this one.
        timeout_s: for an answer of the controller, and for its acknowledgement; after that
            the delivery is an error and is tried again.
        max_age_s: a verdict older than that is withheld: it shows as reject.
    """

    listen: str | None = None
    address: str | None = None
    unit: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    first_register: Annotated[int, msgspec.Meta(ge=0, le=65536 - TOTAL)] = 0
    handshake: bool = False
    timeout_s: Seconds = 2.0
    max_age_s: Seconds = 2.0

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        if self.listen is None and self.address is None:
            return {"listen": "expected listen or address, got neither"}
        if self.listen is not None and self.address is not None:
            return {"address": "expected one of listen and address, got both"}
        key, text = ("listen", self.listen) if self.address is None else ("address", self.address)
        problem = host_port.problem(text or "")
        return {} if problem is None else {key: problem}


class ModbusSink(Sink[ModbusOptions]):
    """Presents verdicts to a controller; the table is in this module's text."""

    Options: ClassVar[type[SinkOptions]] = ModbusOptions
    batch: ClassVar[int] = 100

    def __init__(self, options: ModbusOptions) -> None:
        problems = options.problems()
        if problems:
            raise ConfigError("; ".join(f"{key}: {text}" for key, text in problems.items()))
        _import_pymodbus()
        self._options = options
        self._acknowledged = ""
        if options.handshake:
            # One at a time, so that a restart repeats one at most.
            self.batch = 1  # type: ignore[misc]
        self._presentation = Presentation(options.max_age_s, boot_id())
        self._link = self._make_link()
        self._loop = LoopThread("modbus")
        try:
            self._loop.run(self._link.start, _START_S)
            self._loop.start(self._link.beat)
        except BaseException:
            self._loop.close(self._link.close)
            raise

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        if not self._options.handshake:
            self._presentation.present(parts, time.monotonic_ns())
            self._pass_on(None)
            return
        for part in parts:
            if part.row.uuid != self._acknowledged:
                self._presentation.present([part], time.monotonic_ns())
                self._pass_on(counter_of(part.number))
                self._acknowledged = part.row.uuid

    def show(self, state: LineState) -> None:
        """See :meth:`Sink.show`."""
        self._presentation.show(state, time.monotonic_ns())

    def close(self) -> None:
        """Tell the controller that the line is not ready, and close all connections."""
        self._presentation.end()
        self._loop.close(self._link.close)

    def _make_link(self) -> ModbusServer | ModbusClient:
        options = self._options
        where = host_port.parse(options.listen or options.address or "")
        if where is None:
            raise ConfigError("expected HOST:PORT, got something else")
        if options.listen is None:
            unit = _ITSELF if options.unit is None else options.unit
            return ModbusClient(
                self._presentation, where, options.first_register, unit, options.timeout_s
            )
        host_port.check_free(where, "modbus")
        return ModbusServer(self._presentation, where, options.first_register, options.unit)

    def _pass_on(self, number: int | None) -> None:
        timeout_s = self._options.timeout_s
        try:
            self._loop.run(lambda: self._link.pass_on(number), timeout_s)
        except TimeoutError:
            what = "answer" if number is None else f"acknowledge part counter {number}"
            who = self._options.address or "that polls " + (self._options.listen or "")
            raise OutputError(
                f"the controller {who} did not {what} within {timeout_s:g} s; check that its "
                "program runs and, for acknowledgements, that it writes the part counter back"
            ) from None


def _import_pymodbus() -> None:
    try:
        importlib.import_module("pymodbus")
    except ImportError as error:
        raise ConfigError(
            f"the sink modbus needs pymodbus: pip install 'linegate-runtime[modbus]' ({error})"
        ) from error
    # What it says is about bytes; what matters of it, we say ourselves.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
