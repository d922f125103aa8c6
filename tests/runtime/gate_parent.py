"""A line in a process of its own, with a gpio gate that it beats; to be killed and stopped.

``python -m tests.runtime.gate_parent OPTIONS`` takes the gate's options as JSON, writes the id of
the guard's process, and then obeys lines: ``pass UUID``, ``expect UUID``, ``mute``.
"""

import select
import sys
import time

import msgspec

from linegate_runtime.sinks.gpio import GpioGate, GpioOptions


def main() -> None:
    gate = GpioGate(msgspec.json.decode(sys.argv[1], type=GpioOptions))
    assert gate._guard is not None
    sys.stdout.write(f"{gate._guard.process.pid}\n")
    sys.stdout.flush()
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    is_mute = False
    while True:
        if not is_mute:
            gate.beat()
        if poller.poll(10):
            words = sys.stdin.readline().split()
            if not words:
                break
            is_mute = words[0] == "mute"
            if not is_mute:
                gate.expect(words[1], time.monotonic_ns(), is_accepted=True)
            if words[0] == "pass":
                gate.accept(words[1])
    gate.close()


if __name__ == "__main__":
    main()
