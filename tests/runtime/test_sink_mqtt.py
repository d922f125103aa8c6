"""The sink mqtt against a real broker: what it tells, and to whom."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from linegate_bundle.errors import ConfigError, OutputError
from linegate_bundle.manifest import Verdict
from linegate_runtime.sinks import SINKS, LineState
from linegate_runtime.sinks.mqtt import MqttOptions, MqttSink
from tests.broker import Mosquitto, make_certificates, mosquitto
from tests.runtime.mqtt_support import consumer, sink_at, until
from tests.runtime.sink_support import recorded


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as one:
        yield one


def test_it_is_registered() -> None:
    assert SINKS.load("mqtt") is MqttSink


def test_parts_arrive_whole_and_in_order_with_qos_1(broker: Mosquitto) -> None:
    parts = [recorded(number) for number in range(1, 251)]
    with consumer(broker) as heard, sink_at(broker.address) as sink:
        for begin in range(0, 250, 100):
            sink.deliver(parts[begin : begin + 100])
        until(lambda: len(heard.parts()) == 250, "all parts")
        assert heard.parts() == list(range(1, 251))
        first = msgspec.json.decode(heard.of("linegate/verdict")[0])
    assert first["record"] == 1
    assert first["record_hash"] == parts[0].hash
    assert first["verdict"] == "reject"


def test_an_own_text_and_topic_are_used(broker: Mosquitto) -> None:
    options = {"topic": "hall/7", "payload": "{part};{verdict};{defect_probability:.2f}"}
    with consumer(broker) as heard, sink_at(broker.address, **options) as sink:
        sink.deliver([recorded(4)])
        until(lambda: heard.of("hall/7/verdict"), "the message")
    assert heard.of("hall/7/verdict") == [b"4;reject;0.88"]


def test_it_is_online_while_it_runs_and_offline_when_it_is_closed(broker: Mosquitto) -> None:
    with sink_at(broker.address) as sink:
        sink.deliver([recorded(1)])
        with consumer(broker, name="late") as heard:
            until(lambda: heard.of("linegate/availability"), "availability")
            assert ("linegate/availability", b"online", True) in heard.messages
            sink.close()
            until(lambda: len(heard.of("linegate/availability")) == 2, "offline")
            assert heard.of("linegate/availability")[-1] == b"offline"


_CHILD = """
import sys, time
from linegate_runtime.sinks.mqtt import MqttOptions, MqttSink
from tests.runtime.sink_support import recorded
sink = MqttSink(MqttOptions(address=sys.argv[1]))
sink.deliver([recorded(1)])
print("delivered", flush=True)
time.sleep(60)
"""


def test_the_broker_says_offline_when_the_process_is_killed(broker: Mosquitto) -> None:
    with consumer(broker) as heard:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, broker.address], stdout=subprocess.PIPE
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"delivered\n"
            until(lambda: heard.of("linegate/availability") == [b"online"], "online")
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
        until(lambda: heard.of("linegate/availability")[-1] == b"offline", "the last will")
    with consumer(broker, name="late") as late:
        until(lambda: late.of("linegate/availability"), "availability")
        assert ("linegate/availability", b"offline", True) in late.messages


def test_the_state_is_retained_and_sent_when_it_changes(broker: Mosquitto) -> None:
    good = LineState(is_ready=True, parts={Verdict.ACCEPT: 3})
    bad = LineState(is_ready=False, reasons=("camera left sees nothing",), parts={})
    with consumer(broker) as heard, sink_at(broker.address) as sink:
        for state in (good, bad):
            count = len(heard.of("linegate/state"))

            def is_told(state: LineState = state, count: int = count) -> bool:
                sink.show(state)
                return len(heard.of("linegate/state")) > count

            until(is_told, "the state")
        for _ in range(20):
            sink.show(bad)
        sink.deliver([recorded(1)])
        until(lambda: heard.parts() == [1], "what came after")
        assert len(heard.of("linegate/state")) == 2
        with consumer(broker, name="late") as late:
            until(lambda: late.of("linegate/state"), "the retained state")
        assert msgspec.json.decode(late.of("linegate/state")[0], type=LineState) == bad


def test_the_last_state_is_told_when_it_is_closed(broker: Mosquitto) -> None:
    with consumer(broker) as heard, sink_at(broker.address) as sink:
        sink.deliver([recorded(1)])
        for count in range(3):  # faster than the broker takes them
            sink.show(LineState(is_ready=False, reasons=(f"end {count}",)))
        sink.close()
        until(lambda: b"offline" in heard.of("linegate/availability"), "offline")
        assert b"end 2" in heard.of("linegate/state")[-1]


def test_home_assistant_finds_the_line(broker: Mosquitto) -> None:
    with (
        consumer(broker) as heard,
        sink_at(broker.address, discovery=True, client_id="line 7") as sink,
    ):
        sink.deliver([recorded(1)])
        until(lambda: heard.parts() == [1], "the part")
    found = {
        topic: msgspec.json.decode(payload)
        for topic, payload, _ in heard.messages
        if topic.startswith("homeassistant/")
    }
    assert set(found) == {
        "homeassistant/sensor/line_7/verdict/config",
        "homeassistant/binary_sensor/line_7/ready/config",
        *(f"homeassistant/sensor/line_7/{verdict}/config" for verdict in Verdict),
    }
    verdict = found["homeassistant/sensor/line_7/verdict/config"]
    assert verdict["options"] == ["accept", "reject", "unsure"]
    assert verdict["state_topic"] == "linegate/verdict"
    assert len({one["unique_id"] for one in found.values()}) == 5
    assert {one["availability_topic"] for one in found.values()} == {"linegate/availability"}
    assert {tuple(one["device"]["identifiers"]) for one in found.values()} == {("line_7",)}


def test_user_and_password_are_used_and_never_told(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("opensesame\n")
    login = {"user": "line", "password": "opensesame"}
    with mosquitto(tmp_path, users={"line": "opensesame"}) as broker:
        with (
            consumer(broker, **login) as heard,
            sink_at(broker.address, user="line", password_file=secret) as sink,
        ):
            sink.deliver([recorded(1)])
            until(lambda: heard.parts() == [1], "the part")
        with (
            sink_at(broker.address, **(login | {"password": "wrong-one"})) as sink,
            pytest.raises(OutputError, match="refuses us: not authorized; check user") as caught,
        ):
            sink.deliver([recorded(1)])
    assert "wrong-one" not in str(caught.value)


def test_through_tls_both_sides_show_certificates(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    own = {"certificate": files.client, "key": files.client_key}
    with mosquitto(tmp_path, certificates=files) as broker:
        with sink_at(broker.address, tls=True, ca=files.ca, **own) as sink:
            sink.deliver([recorded(1)])
        with (
            sink_at(broker.address, tls=True, ca=files.ca) as sink,
            pytest.raises(OutputError, match=r"let us in|TLS"),
        ):
            sink.deliver([recorded(1)])


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves it to the collector
def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with (
        mosquitto(tmp_path, certificates=files) as broker,
        sink_at(broker.address, tls=True) as sink,
        pytest.raises(OutputError, match=r"certificate is not trusted.*check `ca`"),
    ):
        sink.deliver([recorded(1)])


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"address": "mqtt://host"}, "address"),
        ({"address": "host:0"}, "address"),
        ({"address": "host:65536"}, "address"),
        ({"address": "fe80::1"}, "address"),
        ({"topic": "a/+/b"}, "topic"),
        ({"topic": "a/#"}, "topic"),
        ({"topic": "$SYS"}, "topic"),
        ({"topic": "a/"}, "topic"),
        ({"password": "hidden-one"}, "password"),
        ({"user": "a", "password": "hidden-one", "password_file": Path(__file__)}, "password_file"),
        ({"user": "a", "password_file": Path("/nowhere")}, "password_file"),
        ({"tls": True, "key": Path(__file__)}, "key"),
        ({"ca": Path(__file__)}, "ca"),
        ({"tls": True, "ca": Path("/nowhere")}, "ca"),
        ({"payload": "{verdikt}"}, "payload"),
        ({"payload": "{verdict}", "discovery": True}, "discovery"),
    ],
)
def test_options_that_cannot_work_are_named(options: dict[str, Any], key: str) -> None:
    problems = MqttOptions(**({"address": "host"} | options)).problems()
    assert list(problems) == [key]
    assert "expected " in problems[key]
    assert ", got " in problems[key]
    assert "hidden-one" not in str(problems)


@pytest.mark.parametrize(
    ("address", "tls", "place"),
    [
        ("broker.local", False, ("broker.local", 1883)),
        ("broker.local", True, ("broker.local", 8883)),
        ("10.0.0.7:99", True, ("10.0.0.7", 99)),
        ("[fe80::1%eth0]", False, ("fe80::1%eth0", 1883)),
        ("[::1]:2000", False, ("::1", 2000)),
    ],
)
def test_addresses_have_the_usual_ports(address: str, place: tuple[str, int], *, tls: bool) -> None:
    sink = MqttSink(MqttOptions(address=address, tls=tls))
    broker = sink._keeper._broker
    assert broker.place == place
    sink.close()


def test_files_that_are_no_certificates_are_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="expected certificates as PEM"):
        MqttSink(MqttOptions(address="host", tls=True, ca=Path(__file__)))


def test_without_paho_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match=r"pip install 'linegate-runtime\[mqtt\]'"):
        MqttSink(MqttOptions(address="host"))
