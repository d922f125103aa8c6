"""What tests of Modbus share: both ends of pymodbus, and names of registers."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from pymodbus.client import ModbusTcpClient

from linegate_runtime.sinks.modbus import ModbusOptions, ModbusSink
from tests.runtime.controller_support import free_port

STATE, HEARTBEAT, VERDICT, REASON, LABEL, PART, ACKNOWLEDGE = 0, 1, 2, 3, 4, 12, 14
ACCEPTED, REJECTED, UNSURE = 6, 8, 10
ACCEPT, REJECT, WITHHELD = 1, 2, 6

CONTROLLER = """
import asyncio, sys
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
port, count, delay_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
async def main():
    def acknowledge(registers, words):
        registers[13:15] = words
    async def action(function, start, address, number, registers, values):
        if values and delay_s >= 0:
            loop.call_later(delay_s, acknowledge, registers, values[11:13])
    loop = asyncio.get_running_loop()
    data = SimData(100, count=count, datatype=DataType.REGISTERS)
    device = SimDevice(0, simdata=[data], action=action)
    await ModbusTcpServer([device], address=("127.0.0.1", port)).serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
"""A controller with registers from 100 on; it acknowledges after a while, or never."""


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[tuple[ModbusSink, int]]:
    port = free_port()
    sink = ModbusSink(ModbusOptions(listen=f"127.0.0.1:{port}", **options))
    with contextlib.closing(sink):
        yield sink, port


@contextlib.contextmanager
def writing(port: int, **options: Any) -> Iterator[ModbusSink]:
    sink = ModbusSink(ModbusOptions(address=f"127.0.0.1:{port}", first_register=100, **options))
    with contextlib.closing(sink):
        yield sink


class Reader:
    """A client that reads all registers in one request."""

    def __init__(self, port: int, first: int = 0) -> None:
        self.client: Any = ModbusTcpClient("127.0.0.1", port=port, timeout=2)
        self.first = first

    def read(self) -> list[int]:
        answer = self.client.read_holding_registers(self.first, count=15)
        assert not answer.isError(), answer
        return list(answer.registers)

    def acknowledge(self, number: int) -> None:
        words = [number >> 16, number & 0xFFFF]
        assert not self.client.write_registers(self.first + 13, words).isError()

    def close(self) -> None:
        self.client.close()


@contextlib.contextmanager
def reading(port: int, first: int = 0) -> Iterator[Reader]:
    with contextlib.closing(Reader(port, first)) as reader:
        yield reader


@contextlib.contextmanager
def controller(
    port: int, delay_s: float = -1.0, count: int = 15
) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", CONTROLLER, str(port), str(count), str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()
