"""The sink mqtt where the broker or the consumer fails."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linegate_bundle.errors import OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.sinks import LineState
from linegate_runtime.sinks.mqtt import MqttSink
from tests.broker import Mosquitto, free_port, mosquitto
from tests.runtime.mqtt_support import WAIT_S, consumer, deliver_at_last, sink_at, until
from tests.runtime.sink_support import recorded


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as one:
        yield one


def test_showing_the_state_returns_at_once_while_the_broker_is_away_or_hangs(
    broker: Mosquitto,
) -> None:
    def slowest_ms(sink: MqttSink) -> float:
        times = []
        for count in range(50):
            begun = time.perf_counter()
            sink.show(LineState(is_ready=True, parts={Verdict.ACCEPT: count}))
            times.append(time.perf_counter() - begun)
            time.sleep(0.002)
        return max(times) * 1000

    with sink_at(f"127.0.0.1:{free_port()}") as sink:
        assert slowest_ms(sink) < 100
    with sink_at(broker.address) as sink:
        sink.deliver([recorded(1)])
        with broker.hung():
            assert slowest_ms(sink) < 100


def test_a_broker_that_is_away_is_told_at_once_and_found_when_it_comes(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        broker.kill()
        with sink_at(broker.address) as sink:
            begun = time.monotonic()
            with pytest.raises(OutputError, match="Connection refused; check the address"):
                sink.deliver([recorded(1)])
            assert time.monotonic() - begun < 2
            broker.start()
            with consumer(broker) as heard:
                deliver_at_last(sink, [recorded(1)])
                until(lambda: heard.parts() == [1], "the part")


@pytest.mark.parametrize("persistence", [True, False])
def test_a_broker_that_is_killed_in_the_middle_gets_the_rest_when_it_is_back(
    tmp_path: Path, *, persistence: bool
) -> None:
    with (
        mosquitto(tmp_path, persistence=persistence) as broker,
        sink_at(broker.address) as sink,
        consumer(broker) as heard,
    ):
        for number in range(1, 31):
            if number == 10:
                until(lambda: len(set(heard.parts())) == 9, "the first parts")
                heard.ready.clear()
                broker.restart()
            deliver_at_last(sink, [recorded(number)])
            if number == 10:
                # A broker without persistence forgets what it holds, and who listens.
                assert heard.ready.wait(WAIT_S)
        first = 10 if persistence else 11
        until(lambda: set(range(first, 31)) <= set(heard.parts()), "the rest")


def test_a_broker_that_hangs_is_told_of_and_goes_on_afterwards(broker: Mosquitto) -> None:
    with consumer(broker) as heard, sink_at(broker.address, timeout_s=0.5) as sink:
        sink.deliver([recorded(1)])
        with broker.hung():
            for _ in range(2):  # in the middle of a connection, and at its begin
                with pytest.raises(OutputError, match=r"no answer for 0\.5 s"):
                    sink.deliver([recorded(2)])
        deliver_at_last(sink, [recorded(2)])
        until(lambda: 2 in heard.parts(), "the part")


def test_closing_ends_a_delivery_that_waits(broker: Mosquitto) -> None:
    with sink_at(broker.address, timeout_s=60.0) as sink:
        sink.deliver([recorded(1)])
        ended: list[BaseException] = []

        def deliver() -> None:
            try:
                sink.deliver([recorded(2)])
            except OutputError as error:
                ended.append(error)

        with broker.hung():
            thread = threading.Thread(target=deliver)
            thread.start()
            time.sleep(0.2)
            begun = time.monotonic()
            sink.close()
            assert time.monotonic() - begun < 1.0
            thread.join(1.0)
            assert time.monotonic() - begun < 1.0
            assert "closed" in str(ended[0])
        sink.close()


def test_a_part_is_delivered_when_the_consumer_has_acknowledged_it(broker: Mosquitto) -> None:
    with (
        consumer(broker) as heard,
        sink_at(broker.address, acknowledge=True, timeout_s=0.4) as sink,
    ):
        with pytest.raises(OutputError, match=r"acknowledgements of 2 parts.*got 0"):
            sink.deliver([recorded(1), recorded(2)])
        heard.say(recorded(2).row.uuid)
        acknowledged = sink._acknowledged
        assert acknowledged is not None
        until(lambda: acknowledged.missing == 1, "the acknowledgement")
        with pytest.raises(OutputError, match="got 1"):
            sink.deliver([recorded(1), recorded(2)])
        assert heard.parts() == [1, 2, 1], "only what was not acknowledged is sent again"
        heard.say(f'["{recorded(1).row.uuid}", "unknown"]')
        deliver_at_last(sink, [recorded(1), recorded(2)])


def test_acknowledgements_that_come_late_twice_or_garbled_do_no_harm(broker: Mosquitto) -> None:
    with (
        consumer(broker) as heard,
        sink_at(broker.address, acknowledge=True, timeout_s=0.4) as sink,
    ):

        def acknowledge(uuid: str) -> None:
            for payload in ("[", "[1]", "\u00ff", "", uuid, uuid):
                threading.Timer(0.1, heard.say, [payload]).start()

        heard.acknowledge = acknowledge
        for number in range(1, 4):
            sink.deliver([recorded(number), recorded(number + 100)])
        assert heard.parts() == [1, 101, 2, 102, 3, 103]


def test_with_acknowledgements_a_forgetful_broker_loses_nothing(broker: Mosquitto) -> None:
    with (
        consumer(broker) as heard,
        sink_at(broker.address, acknowledge=True, timeout_s=0.4) as sink,
    ):
        seen: set[str] = set()

        def acknowledge(uuid: str) -> None:
            if len(seen) == 4:  # taken by the broker, never by the consumer
                seen.add("restarted")
                threading.Thread(target=broker.restart).start()
                return
            seen.add(uuid)
            heard.say(uuid)

        heard.acknowledge = acknowledge
        for number in range(1, 11):
            deliver_at_last(sink, [recorded(number)])
        assert {recorded(number).row.uuid for number in range(1, 11)} <= seen


def test_nothing_piles_up_while_the_broker_is_away(broker: Mosquitto) -> None:
    from paho.mqtt.client import Client

    with sink_at(broker.address, timeout_s=0.2) as sink:
        sink.deliver([recorded(1)])
        broker.kill()
        gc.collect()
        parts = [recorded(number) for number in range(1, 101)]
        for count in range(20):
            sink.show(LineState(is_ready=True, parts={Verdict.ACCEPT: count}))
            with pytest.raises(OutputError):
                sink.deliver(parts)
        assert sink._keeper.link is None
        assert threading.active_count() < 5
        # Without help of the collector, which may come late.
        clients = [one for one in gc.get_objects() if type(one) is Client]
        assert len(clients) <= 2
