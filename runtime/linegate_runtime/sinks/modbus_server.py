"""linegate as a Modbus TCP server, which a controller polls."""

import asyncio
import functools
import importlib
import socket
import time
from collections.abc import Sequence
from typing import Any

from linegate_bundle.errors import ConfigError
from linegate_runtime.host_port import HostPort, cannot_listen
from linegate_runtime.sinks.modbus_registers import (
    ACKNOWLEDGE,
    COUNT,
    TOTAL,
    registers_of,
    value_of,
)
from linegate_runtime.sinks.presentation import BEAT_S, Presentation

_READ = frozenset({3, 4, 23})
_WRITE = frozenset({6, 16, 22, 23})
"""Modbus functions for holding registers; 4, input registers, gives the same."""

_KEEP_ALIVE_S = 10
"""A controller that was switched off does not say so; its connection is closed after a while."""


class ModbusServer:
    """Answers with what the presentation shows at that moment.

    All its methods belong into one asyncio loop. A request is answered from one snapshot, so
    that registers that are read together belong together.
    """

    def __init__(
        self, presentation: Presentation, address: HostPort, first_register: int, unit: int | None
    ) -> None:
        self._presentation = presentation
        self._address = address
        self._first = first_register
        self._unit = unit
        self._server: Any = None
        self._codes: Any = None
        self._acknowledgement = [0, 0]
        self._written = asyncio.Event()

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address cannot be had.
        """
        server, simulator = (
            importlib.import_module(f"pymodbus.{name}") for name in ("server", "simulator")
        )
        self._codes = importlib.import_module("pymodbus.constants").ExcCodes
        device = functools.partial(
            simulator.SimDevice,
            simdata=[
                simulator.SimData(
                    self._first,
                    count=COUNT,
                    datatype=simulator.DataType.REGISTERS,
                    readonly=True,
                ),
                simulator.SimData(
                    self._first + ACKNOWLEDGE,
                    count=TOTAL - COUNT,
                    datatype=simulator.DataType.REGISTERS,
                ),
            ],
        )
        # Unit 0 stands for all that have no device of their own.
        devices = [device(id=self._unit or 0, action=self._answer)]
        if self._unit:
            devices.append(device(id=0, action=self._refuse))
        self._server = server.ModbusTcpServer(
            devices, address=tuple(self._address), trace_connect=self._watch
        )
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as error:
            raise ConfigError(cannot_listen(self._address, "modbus", error)) from error

    async def beat(self) -> None:
        """Let the heart beat, for ever."""
        while True:
            self._presentation.beat(time.monotonic_ns())
            await asyncio.sleep(BEAT_S)

    async def pass_on(self, number: int | None) -> None:
        """Wait until a controller has acknowledged a part counter; None waits for nothing."""
        while number is not None and value_of(self._acknowledgement) != number:
            self._written.clear()
            await self._written.wait()

    async def close(self) -> None:
        """Close all connections and the port."""
        if self._server is not None:
            await self._server.shutdown()

    async def _answer(  # noqa: PLR0917 - pymodbus calls it so
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: Sequence[int] | None,
    ) -> Any:
        """Bring the registers up to date before a request is carried out.

        Nothing is awaited here, so no other request comes between.
        """
        del start
        if function not in _READ | _WRITE:
            return self._codes.ILLEGAL_FUNCTION
        if values is not None:
            offset = address - self._first - ACKNOWLEDGE
            self._acknowledgement[offset : offset + count] = values
            self._written.set()
        shown = self._presentation.snapshot(time.monotonic_ns())
        registers[:TOTAL] = [*registers_of(shown), *self._acknowledgement]
        return None

    async def _refuse(self, *_: object) -> Any:
        return self._codes.GATEWAY_NO_RESPONSE

    def _watch(self, is_connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        if is_connected:
            asyncio.get_running_loop().call_soon(self._keep_alive)

    def _keep_alive(self) -> None:
        for connection in self._server.active_connections.values():
            opened = connection.transport and connection.transport.get_extra_info("socket")
            if opened:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
                    if hasattr(socket, name):  # as Linux calls them
                        opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), _KEEP_ALIVE_S)
