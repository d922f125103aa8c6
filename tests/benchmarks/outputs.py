"""What outputs withstand: brokers that are away for long, and processes that die or hang.

1. 108,000 parts are put on record while the MQTT broker is away, as many as an hour has at 30 a
   second; then the broker comes. ``queued`` is how many the outbox held, ``delivered`` how many
   different ones a consumer got, which has a persistent session.
2. ``linegate run`` judges 30 parts a second of a fake camera for ten minutes while the broker is
   away, and goes on when it is back; what is missing then counts in ``outage_lost``.
3. The same for a minute, with a broker without persistence that is killed and started again every
   ten seconds and a consumer that acknowledges each part: ``restart_lost``.
4. ``linegate run`` with the gate ``gpio`` on pins in a file, which an observer looks at every
   millisecond as a safety relay would. The inspecting process, the camera's, the gate's guard
   and the outputs' process are killed and stopped, ten times each in both modes while a part is
   being accepted; ``safe_state_ms_max`` is the longest time until nothing was accepted any more.

``memory_mb`` is by how much the proportional set size of the outputs' process, in 1, and of
all processes together, in 2, was larger at most than when the broker went away.
"""

import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from linegate_runtime.config_file import Overrides, load_config
from linegate_runtime.outputs import LineOutputs
from linegate_runtime.record import Access, Entry, Record
from linegate_runtime.recorder import Recorder
from tests.benchmarks.bench import Result, show_progress, write
from tests.benchmarks.memory import pss_mb
from tests.broker import Mosquitto, mosquitto
from tests.gate_run import Process, gated_line, time_to_safe_ms
from tests.record_run import Receiver, line, wait_for, write_config
from tests.runtime.sink_support import recorded
from tests.support import tiny_bundle

_QUEUED = int(os.environ.get("LINEGATE_QUEUED", "108000"))
_OUTAGE_S = float(os.environ.get("LINEGATE_OUTAGE_S", "600"))
_RESTARTS = int(os.environ.get("LINEGATE_RESTARTS", "6"))
_RESTART_EVERY_S = 10.0
_FAULTS = int(os.environ.get("LINEGATE_FAULTS", "10"))
_DELIVERY_LIMIT_S = 600.0
_BATCH = 200


class Consumer:
    """Takes what comes on TOPIC/verdict, with a session that the broker keeps.

    Attributes:
        uuids: of all parts that came, each as often as it did.
    """

    def __init__(self, broker: Mosquitto, *, acknowledges: bool = False) -> None:
        self.uuids: list[str] = []
        self._acknowledges = acknowledges
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False
        )
        self._client.reconnect_delay_set(0.1, 0.5)  # type: ignore[arg-type]
        self._client.on_connect = lambda *given: given[0].subscribe("linegate/verdict", qos=1)
        self._client.on_message = lambda *given: self._take(given[-1])
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _take(self, message: Any) -> None:
        uuid = msgspec.json.decode(message.payload)["uuid"]
        self.uuids.append(uuid)
        if self._acknowledges:
            self._client.publish("linegate/acknowledged", uuid, qos=1)

    def close(self) -> None:
        """Go."""
        self._client.disconnect()
        self._client.loop_stop()


class Watched:
    """The memory of processes, looked at twice a second while the block runs.

    Attributes:
        first_mb, most_mb: of all of them together.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.first_mb = self.most_mb = pss_mb(pid) or 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._is_over.wait(0.5):
            self.most_mb = max(self.most_mb, pss_mb(self._pid) or 0.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def grown_mb(self) -> float:
        """By how much."""
        return self.most_mb - self.first_mb


@contextlib.contextmanager
def kept_session(broker: Mosquitto, *, acknowledges: bool = False) -> Iterator[Consumer]:
    """Give a consumer that has subscribed before anything is published."""
    consumer = Consumer(broker, acknowledges=acknowledges)
    time.sleep(1.0)
    try:
        yield consumer
    finally:
        consumer.close()


def queue(folder: Path) -> tuple[int, int, int, float, float]:
    """Queue parts and deliver them.

    Returns:
        Parts queued, different ones delivered, deliveries, MB grown, and parts a second.
    """
    with mosquitto(folder, persistence=True) as broker, kept_session(broker) as consumer:
        broker.stop()
        sinks = [{"kind": "mqtt", "address": broker.address}]
        config = load_config(write_config(folder, folder / "queue.sqlite", sinks), Overrides())
        outputs = LineOutputs(config)
        recorder = Recorder(
            Record(config.record), outputs.remembered, on_commit=outputs.note_commit
        )
        outputs.open(config.record, recorder)
        process = outputs._process
        if process is None:
            raise RuntimeError("expected an outputs' process")
        time.sleep(2.0)
        with Watched(process.pid) as watched:
            for first in range(1, _QUEUED + 1, _BATCH):
                for part in range(first, min(first + _BATCH, _QUEUED + 1)):
                    recorder.put(Entry(recorded(part).row))
                recorder.flush(60.0)
            with Record(config.record, Access.READ) as record:
                queued = record.chain.last_number
            broker.start()
            start = time.monotonic()
            _wait_for_all(consumer, queued)
            rate = queued / (time.monotonic() - start)
        outputs.close()
        recorder.close()
        uuids = list(consumer.uuids)
    return queued, len(set(uuids)), len(uuids), watched.grown_mb, rate


def _wait_for_all(consumer: Consumer, count: int) -> None:
    known: set[str] = set()
    taken = 0

    def has_all() -> bool:
        nonlocal taken
        known.update(consumer.uuids[taken:])
        taken = len(consumer.uuids)
        return len(known) >= count

    with contextlib.suppress(TimeoutError):
        wait_for(has_all, _DELIVERY_LIMIT_S)


def outage(folder: Path, bundle: Path) -> tuple[int, int, float]:
    """Let the broker be away while a line runs; return parts, parts missing, and MB grown."""
    with mosquitto(folder, persistence=True) as broker, kept_session(broker) as consumer:
        sinks = [{"kind": "mqtt", "address": broker.address}]
        config = write_config(folder, folder / "outage.sqlite", sinks)
        with line(bundle, config) as process:
            wait_for(lambda: len(consumer.uuids) > 100)
            broker.stop()
            time.sleep(5.0)
            with Watched(process.pid) as watched:
                time.sleep(_OUTAGE_S)
                broker.start()
                waited = _on_record(folder / "outage.sqlite")
                _wait_for_all(consumer, waited)
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        time.sleep(2.0)
        uuids = _uuids(folder / "outage.sqlite")
        return len(uuids), len(uuids - set(consumer.uuids)), watched.grown_mb


def restarts(folder: Path, bundle: Path) -> tuple[int, int, int]:
    """Kill a forgetful broker again and again; return parts, parts missing, and deliveries."""
    with mosquitto(folder) as broker, kept_session(broker, acknowledges=True) as consumer:
        sinks = [{"kind": "mqtt", "address": broker.address, "acknowledge": True, "timeout_s": 2.0}]
        config = write_config(folder, folder / "restarts.sqlite", sinks)
        with line(bundle, config) as process:
            wait_for(lambda: len(consumer.uuids) > 30)
            for _ in range(_RESTARTS):
                time.sleep(_RESTART_EVERY_S)
                broker.restart()
            _wait_for_all(consumer, _on_record(folder / "restarts.sqlite"))
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        time.sleep(1.0)
        uuids = _uuids(folder / "restarts.sqlite")
        # The last ones may be on their way when the line ends; the next run delivers them.
        with Record(folder / "restarts.sqlite", Access.READ) as record:
            with record.reading("the outbox cannot be read") as database:
                place = database.execute("SELECT delivered FROM outbox").fetchone()[0]
            told = {one.row.uuid for one in record.rows() if one.number <= place}
        return len(uuids), len(told - set(consumer.uuids)), len(consumer.uuids)


def _on_record(path: Path) -> int:
    with Record(path, Access.READ) as record:
        return record.chain.last_number


def _uuids(path: Path) -> set[str]:
    with Record(path, Access.READ) as record:
        return {one.row.uuid for one in record.rows()}


def safe_times(folder: Path, bundle: Path) -> dict[str, list[float]]:
    """Return the milliseconds until nothing was accepted, by process and fault, in both modes."""
    times: dict[str, list[float]] = {}
    with Receiver() as receiver:
        sink = {"kind": "http", "url": receiver.url}
        for process in Process:
            for fault in (signal.SIGKILL, signal.SIGSTOP):
                for mode in ("accept", "reject"):
                    name = f"{process.name.lower()} {fault.name} {mode}"
                    for _ in range(_FAULTS):
                        with gated_line(folder, bundle, mode, sink) as gated:
                            taken_ms = time_to_safe_ms(*gated, process, fault)
                        times.setdefault(name, []).append(taken_ms)
    return times


def measure() -> Result:
    """Queue, be away, restart, and kill."""
    folders = contextlib.ExitStack()
    with folders:
        first, second, third, fourth = (
            Path(folders.enter_context(tempfile.TemporaryDirectory())) for _ in range(4)
        )
        bundle = tiny_bundle(first / "tiny-1.0.0.linegate")
        queued, delivered, deliveries, queue_mb, rate = queue(first)
        outage_parts, outage_lost, outage_mb = outage(second, bundle)
        restart_parts, restart_lost, restart_deliveries = restarts(third, bundle)
        times = safe_times(fourth, bundle)
    return Result(
        name="outputs",
        protocol=__doc__ or "",
        columns=("what", "value"),
        rows=[
            ("parts queued while the broker is away", queued),
            ("different ones delivered", delivered),
            ("delivered twice", deliveries - delivered),
            ("a second, once it is back", rate),
            ("MB grown by that", queue_mb),
            (f"parts around an outage of {_OUTAGE_S:g} s", outage_parts),
            ("lost by it", outage_lost),
            ("MB grown by it", outage_mb),
            (f"parts around {_RESTARTS} restarts without persistence", restart_parts),
            ("lost by them", restart_lost),
            ("delivered twice because of them", restart_deliveries - restart_parts),
            *(
                (f"ms to safe: {name}, median", statistics.median(one))
                for name, one in times.items()
            ),
            *((f"ms to safe: {name}, longest", max(one)) for name, one in times.items()),
        ],
        figures={
            "queued": queued,
            "delivered": delivered,
            "memory_mb": max(queue_mb, outage_mb),
            "outage_lost": outage_lost,
            "restart_lost": restart_lost,
            "safe_state_ms_max": max(max(one) for one in times.values()),
        },
    )


if __name__ == "__main__":
    show_progress()
    write(measure())
