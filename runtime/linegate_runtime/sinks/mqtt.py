"""Verdicts to an MQTT broker, MQTT 3.1.1, with QoS 1.

Below the topic of the line, ``linegate`` if nothing else is configured:

==================  ========================================================================
``/verdict``        a message a part
``/state``          how the line is, as JSON, retained; sent when it changes
``/availability``   ``online`` or ``offline``, retained; the broker says so when we cannot
``/acknowledged``   read by the line if ``acknowledge`` is set: UUIDs of parts that a consumer has
==================  ========================================================================

An acknowledgement of the broker says that the broker has a message, not that anybody else has it:
one without persistence loses what it holds when it is restarted, and in MQTT 3.1.1 one whose
access list forbids a topic takes messages and drops them. With ``acknowledge`` a part counts as
delivered only when a consumer says that it has it.
"""

import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime import host_port
from linegate_runtime.host_port import HostPort
from linegate_runtime.mqtt_link import Broker, Keeper, Link, Message, import_paho
from linegate_runtime.security import file_problems, read_secret, tls_context
from linegate_runtime.sinks.base import LineState, Sink, SinkOptions
from linegate_runtime.sinks.home_assistant import discovery
from linegate_runtime.sinks.payload import template_problems, writer

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

_PORT = 1883
_TLS_PORT = 8883

_WRONG_TOPIC = re.compile(r"[+#\0]|^[/$]|/$")

_LARGEST_ACKNOWLEDGEMENT = 1024 * 1024
"""Bytes; what is larger is no list of UUIDs that are waited for."""

_WAIT_S = 0.1
"""So often it is looked whether there is still a connection to wait for."""


class MqttOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the sink mqtt.

    Attributes:
        address: ``HOST:PORT`` of the broker, IPv6 as ``[ADDRESS]:PORT``; without a port 1883,
            with TLS 8883.
        client_id: the broker lets in one client of each; None makes it from the names of this
            machine and the sink.
        user: to log in as; None logs in as nobody.
        password: of the user.
        password_file: file with the password alone in it; one of the two at most.
        tls: talk through TLS; then the broker's certificate must be right.
        ca: file with the authorities to trust, PEM; None trusts those of the system.
        certificate: our own, PEM, if the broker asks for it.
        key: of the certificate, PEM, if it is not in the same file.
        topic: of the line, see above; without wildcards.
        payload: template of a part's message, see :mod:`linegate_runtime.sinks.payload`; None
            sends a JSON object.
        keep_alive_s: a broker that says nothing for longer than this is taken for gone.
        timeout_s: how long to wait for the broker, and for a consumer's acknowledgement.
        discovery: let the line appear in Home Assistant by itself.
        acknowledge: a consumer must say that it has a part, by publishing the UUID or a JSON
            list of UUIDs to ``/acknowledged``. What it does not in ``timeout_s`` is sent
            again, so it must acknowledge what it has already, too.
    """

    address: str
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    user: str | None = None
    password: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "linegate"
    payload: str | None = None
    keep_alive_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 10.0
    discovery: bool = False
    acknowledge: bool = False

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        found = dict(template_problems(self.payload))
        if _place(self) is None:
            found["address"] = (
                "expected HOST, HOST:PORT or [IPV6]:PORT with a port from 1 to 65535, "
                "got another form"
            )
        if _WRONG_TOPIC.search(self.topic):
            found["topic"] = (
                "expected a topic without the wildcards + and #, without / at its ends "
                f"and without $ at its begin, got {self.topic!r}"
            )
        if self.discovery and self.payload is not None:
            found["discovery"] = (
                "expected no payload with it, since Home Assistant reads the JSON object, "
                "got one; leave one of the two out"
            )
        return found | self._login_problems() | self._tls_problems()

    def _login_problems(self) -> dict[str, str]:
        found = file_problems({"password_file": self.password_file})
        given = {"password": self.password, "password_file": self.password_file}
        keys = [key for key, value in given.items() if value is not None]
        if len(keys) > 1:
            found[keys[1]] = "expected a password or a file with it, got both"
        if self.user is None:
            found.update(dict.fromkeys(keys, "expected a user with it, got none"))
        return found

    def _tls_problems(self) -> dict[str, str]:
        files = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        found = file_problems(files)
        if self.key is not None and self.certificate is None:
            found["key"] = "expected a certificate with it, got none"
        if not self.tls:
            keys = [key for key, value in files.items() if value is not None]
            found.update(dict.fromkeys(keys, "expected tls = true with it, got tls = false"))
        return found


class MqttSink(Sink[MqttOptions]):
    """Publishes verdicts, and how the line is; see the module and :class:`MqttOptions`.

    The connection is made when the first verdict or state is told, and again whenever it is
    lost, in a thread of its own: so the line is ``online`` while no part comes. Nothing is
    kept here or in paho while the broker is away.
    """

    Options: ClassVar[type[SinkOptions]] = MqttOptions
    batch: ClassVar[int] = 100

    def __init__(self, options: MqttOptions) -> None:
        import_paho()
        try:
            self._write = writer(options.payload)
        except ValueError as error:
            raise ConfigError(f"payload: {error}") from error
        self._topic = options.topic
        self._timeout_s = options.timeout_s
        self._acknowledged = _Acknowledged() if options.acknowledge else None
        self._keeper = Keeper(_broker(options), self._take)
        self._state = b""
        self._shown: _Shown | None = None

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        if self._acknowledged is not None:
            self._deliver_until_acknowledged(parts, self._acknowledged)
            return
        deadline = time.monotonic() + self._timeout_s
        link = self._keeper.wait(deadline)
        self._keeper.wait_published(link, self._publish(link, parts), deadline)

    def show(self, state: LineState) -> None:
        """See :meth:`Sink.show`."""
        self._state = msgspec.json.encode(state)
        link, shown = self._keeper.link, self._shown
        # One at a time, so that a broker that hangs is not sent more and more of them.
        if link is not None and (shown is None or shown.link is not link or shown.is_taken):
            self._tell_state(link)

    def close(self) -> None:
        """Say ``offline`` and leave; a second call does nothing."""
        if self._shown is not None and self._shown.link.is_up:
            self._tell_state(self._shown.link)
        self._keeper.close()

    def _tell_state(self, link: Link) -> None:
        """Publish how the line is, unless that was the last that this connection has heard."""
        shown, content = self._shown, self._state
        if shown is None or shown.link is not link or shown.content != content:
            message = Message(f"{self._topic}/state", content, is_retained=True)
            self._shown = _Shown(link, content, link.publish(message))

    def _publish(self, link: Link, parts: Sequence["Recorded"]) -> list[Any]:
        topic = f"{self._topic}/verdict"
        return [link.publish(Message(topic, self._write(part))) for part in parts]

    def _deliver_until_acknowledged(
        self, parts: Sequence["Recorded"], acknowledged: "_Acknowledged"
    ) -> None:
        missing = acknowledged.expect([part.row.uuid for part in parts])
        if not missing:
            return
        link = self._keeper.wait(time.monotonic() + self._timeout_s)
        deadline = time.monotonic() + self._timeout_s
        published = self._publish(link, [part for part in parts if part.row.uuid in missing])
        while not acknowledged.wait(min(_WAIT_S, deadline - time.monotonic())):
            self._keeper.check(link)
            if time.monotonic() > deadline:
                self._keeper.wait_published(link, published, deadline)
                raise OutputError(
                    f"expected acknowledgements of {len(parts)} parts on "
                    f"{self._topic}/acknowledged within {self._timeout_s:g} s, got "
                    f"{len(parts) - acknowledged.missing}; check that the consumer runs and "
                    "publishes the UUID of each part, also of those it has already"
                )

    def _take(self, payload: bytes) -> None:
        if self._acknowledged is not None and len(payload) <= _LARGEST_ACKNOWLEDGEMENT:
            self._acknowledged.add(_uuids_in(payload))


class _Shown:
    """A state that was published; as bytes, for its counts may be the line's own.

    Attributes:
        link: over which connection.
        content: what was said.
    """

    def __init__(self, link: Link, content: bytes, published: Any) -> None:
        self.link = link
        self.content = content
        self._published = published

    @property
    def is_taken(self) -> bool:
        """Whether the broker has it."""
        return self._published.rc == 0 and bool(self._published.is_published())


class _Acknowledged:
    """Which parts of the last batch a consumer has; it may say so late and several times."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._expected: frozenset[str] = frozenset()
        self._has: set[str] = set()

    @property
    def missing(self) -> int:
        """How many are not acknowledged yet."""
        with self._changed:
            return len(self._expected - self._has)

    def expect(self, uuids: Sequence[str]) -> frozenset[str]:
        """Wait for these from now on; returns which of them were not acknowledged yet."""
        with self._changed:
            self._expected = frozenset(uuids)
            self._has &= self._expected
            return self._expected - self._has

    def add(self, uuids: Sequence[str]) -> None:
        """Take acknowledgements; those that nobody waits for do not count."""
        with self._changed:
            self._has.update(self._expected.intersection(uuids))
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Say whether all are acknowledged, waiting for it for so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has >= self._expected, max(0.0, timeout_s))


def _uuids_in(payload: bytes) -> list[str]:
    """Return what a consumer acknowledges: one UUID, or a JSON list of them."""
    text = payload.decode("utf-8", "replace").strip()
    if not text.startswith("["):
        return [text]
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, RecursionError):
        return []


def _place(options: MqttOptions) -> HostPort | None:
    """Return where the broker listens; None if the address has another form."""
    default = _TLS_PORT if options.tls else _PORT
    return host_port.parse(options.address) or host_port.parse(f"{options.address}:{default}")


def _broker(options: MqttOptions) -> Broker:
    place = _place(options)
    if place is None:
        raise ConfigError("address: expected HOST:PORT, got another form")
    client_id = options.client_id or f"linegate-{socket.gethostname()}-{options.name or 'mqtt'}"
    availability = f"{options.topic}/availability"
    found = discovery(options.topic, client_id) if options.discovery else {}
    return Broker(
        place=place,
        client_id=client_id,
        user=options.user,
        password=read_secret(options.password, options.password_file),
        tls=tls_context(options.ca, options.certificate, options.key) if options.tls else None,
        keep_alive_s=options.keep_alive_s,
        timeout_s=options.timeout_s,
        welcome=(
            Message(availability, b"online", is_retained=True),
            *(Message(topic, content, is_retained=True) for topic, content in found.items()),
        ),
        will=Message(availability, b"offline", is_retained=True),
        farewell=Message(availability, b"offline", is_retained=True),
        subscription=f"{options.topic}/acknowledged" if options.acknowledge else None,
    )
