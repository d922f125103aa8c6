"""linegate as a Modbus TCP client, which writes into a controller's registers."""

import asyncio
import importlib
import logging
import time
from typing import Any

from linegate_bundle.errors import OutputError
from linegate_runtime.host_port import HostPort
from linegate_runtime.sinks.modbus_registers import (
    ACKNOWLEDGE,
    COUNT,
    TOTAL,
    registers_of,
    value_of,
)
from linegate_runtime.sinks.presentation import BEAT_S, Presentation

_LOG = logging.getLogger(__name__)

_POLL_S = 0.01
_AGAIN_S = 1.0
"""A controller that is away is tried so often for the heartbeat; verdicts try it at once."""

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS = 1, 2
_HINTS = {
    _ILLEGAL_FUNCTION: "illegal function: it must take functions 16 and 3",
    _ILLEGAL_ADDRESS: "illegal address: it must have these registers; check first_register, unit",
}
"""What the commonest exceptions want. Source: Modbus Application Protocol V1.1b3, section 7."""


class ModbusClient:
    """Writes what the presentation shows, all registers in one request, verdict or not.

    All its methods belong into one asyncio loop. After any error the connection is opened anew,
    so that a late answer is never taken for that of another request.

    Args:
        timeout_s: for the connection and for each answer.
    """

    def __init__(
        self,
        presentation: Presentation,
        address: HostPort,
        first_register: int,
        unit: int,
        timeout_s: float,
    ) -> None:
        self._presentation = presentation
        self._address = address
        self._first = first_register
        self._unit = unit
        self._timeout_s = timeout_s
        self._client: Any = None
        self._lock = asyncio.Lock()
        self._problem: str | None = None

    async def start(self) -> None:
        """Nothing is reached before there is something to write."""

    async def beat(self) -> None:
        """Write again and again, for the heartbeat and the state, for ever."""
        while True:
            self._presentation.beat(time.monotonic_ns())
            pause_s = BEAT_S
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._write()
                self._note(None)
            except OutputError as error:
                self._note(str(error))
                pause_s = _AGAIN_S
            except TimeoutError:
                self._note(f"the controller at {self._address} does not answer")
                pause_s = _AGAIN_S
            await asyncio.sleep(pause_s)

    async def pass_on(self, number: int | None) -> None:
        """Write, and wait until the controller has acknowledged a part counter.

        Args:
            number: the counter; None waits for nothing.

        Raises:
            OutputError: it cannot be reached or refuses.
        """
        await self._write()
        # What is waited for happens in another machine, which can only be asked.
        while number is not None and await self._read_acknowledgement() != number:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def close(self) -> None:
        """Tell the controller that the line is not ready any more, if it can be told."""
        try:
            if self._problem is None:
                await self._write()
        finally:
            self._drop()

    async def _write(self) -> None:
        async with self._lock:
            registers = registers_of(self._presentation.snapshot(time.monotonic_ns()))
            await self._ask(
                lambda client: client.write_registers(self._first, registers, device_id=self._unit),
                f"have registers {self._first} to {self._first + COUNT - 1} written",
            )

    async def _read_acknowledgement(self) -> int:
        first, count = self._first + ACKNOWLEDGE, TOTAL - COUNT
        what = f"have registers {first} to {first + count - 1} read"
        async with self._lock:
            answer = await self._ask(
                lambda client: client.read_holding_registers(
                    first, count=count, device_id=self._unit
                ),
                what,
            )
        if len(answer.registers) != count:
            self._drop()
            raise OutputError(
                f"the controller at {self._address} was to {what}; "
                f"expected {count} values, got {len(answer.registers)}"
            )
        return value_of(answer.registers)

    async def _ask(self, request: Any, what: str) -> Any:
        vendor = importlib.import_module("pymodbus.exceptions")
        client = await self._connect()
        is_answered = False
        try:
            answer = await request(client)
            is_answered = True
        except vendor.ModbusException as error:
            raise OutputError(
                f"the controller at {self._address} does not answer within {self._timeout_s:g} s; "
                "check that its Modbus server runs"
            ) from error
        except OSError as error:
            raise OutputError(f"the controller at {self._address} is lost: {error}") from error
        finally:
            # Cancelled as well: what still comes would be for nobody.
            if not is_answered:
                self._drop()
        if answer.isError():
            code = answer.exception_code
            raise OutputError(
                f"the controller at {self._address} refuses to {what}, unit {self._unit}: "
                f"Modbus exception {code}, {_HINTS.get(code, 'see its manual')}"
            )
        return answer

    async def _connect(self) -> Any:
        """Return an open connection."""
        if self._client is None or not self._client.connected:
            self._drop()
            self._client = importlib.import_module("pymodbus.client").AsyncModbusTcpClient(
                self._address.host,
                port=self._address.port,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
            )
            if not await self._client.connect():
                self._drop()
                raise OutputError(
                    f"the controller at {self._address} cannot be reached; check its address, "
                    "the network, and that its Modbus server runs"
                )
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _note(self, problem: str | None) -> None:
        """Log what has changed; heartbeats fail again and again."""
        if problem is not None and self._problem is None:
            _LOG.warning("%s; it is tried again", problem)
        elif problem is None and self._problem is not None:
            _LOG.warning("the controller at %s answers again", self._address)
        self._problem = problem
