"""A consumer at a real broker, and the sink mqtt beside it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from linegate_bundle.errors import OutputError
from linegate_runtime.sinks.mqtt import MqttOptions, MqttSink
from tests.broker import Mosquitto

WAIT_S = 5.0


class Consumer:
    """Subscribes to everything on a broker; may acknowledge parts.

    Attributes:
        messages: topic, payload and whether it was retained, in the order they came.
        acknowledge: called with the UUID of each part that comes.
        ready: set when it listens.
    """

    def __init__(self, broker: Mosquitto, *, name: str = "consumer", **login: Any) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, bytes, bool]] = []
        self.acknowledge: Callable[[str], None] | None = None
        self.ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._client.on_connect = lambda *given: given[0].subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = lambda *given: self._take(given[-1])
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self.ready.wait(WAIT_S)

    def _take(self, message: Any) -> None:
        self.messages.append((message.topic, message.payload, message.retain))
        if message.topic == "linegate/verdict" and self.acknowledge is not None:
            self.acknowledge(msgspec.json.decode(message.payload)["uuid"])

    def say(self, payload: str) -> None:
        self.publish("linegate/acknowledged", payload)

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1)

    def of(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in self.messages if name == topic]

    def parts(self) -> list[int]:
        return [msgspec.json.decode(one)["part"] for one in self.of("linegate/verdict")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def consumer(broker: Mosquitto, **options: Any) -> Iterator[Consumer]:
    one = Consumer(broker, **options)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def sink_at(address: str, **options: Any) -> Iterator[MqttSink]:
    given = MqttOptions(address=address, **({"timeout_s": 5.0} | options))
    assert given.problems() == {}
    sink = MqttSink(given)
    try:
        yield sink
    finally:
        sink.close()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def deliver_at_last(sink: MqttSink, parts: list[Any]) -> list[str]:
    """Deliver as the caller does; returns the errors before it worked."""
    errors = []
    deadline = time.monotonic() + 15.0
    while True:
        try:
            sink.deliver(parts)
        except OutputError as error:
            errors.append(str(error))
            assert time.monotonic() < deadline, errors
            time.sleep(0.05)
        else:
            return errors
