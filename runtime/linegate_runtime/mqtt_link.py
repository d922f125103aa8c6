"""A connection to an MQTT broker: made, kept and made again in a thread of its own.

Every connection is a client of its own, from its CONNECT to its end. paho would keep what was
not acknowledged and send it again by itself, besides those who offer it again: with a client that
is thrown away nothing can pile up while a broker is away.
"""

import contextlib
import importlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime.host_port import HostPort
from linegate_runtime.security import tls_failure

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
"""Between attempts to connect; whoever needs the connection makes the pause end at once."""

_WAIT_S = 0.1
"""So often a thread that waits for the broker looks whether the connection is still there."""

_FAREWELL_S = 0.3
"""How long closing waits for the broker to take the last message."""


class Message(msgspec.Struct, frozen=True):
    """What is published with QoS 1.

    Attributes:
        topic: without wildcards.
        payload: its bytes.
        is_retained: the broker keeps it for those who subscribe later.
    """

    topic: str
    payload: bytes
    is_retained: bool = False


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """A broker and how to be known there.

    Attributes:
        place: where it listens.
        client_id: of which it lets one in at a time; a second takes the place of the first.
        user: None logs in as nobody.
        password: of the user.
        tls: None talks in the clear.
        keep_alive_s: after so long without a word each side asks whether the other is there.
        timeout_s: how long to wait for an answer.
        welcome: published whenever a connection is there.
        will: published by the broker when the connection is lost.
        farewell: published before the connection is closed.
        subscription: topic to listen to; None listens to nothing.
    """

    place: HostPort
    client_id: str
    user: str | None
    password: bytes | None
    tls: ssl.SSLContext | None
    keep_alive_s: int
    timeout_s: float
    welcome: tuple[Message, ...]
    will: Message
    farewell: Message
    subscription: str | None

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"the broker {self.place}"


def import_paho() -> Any:
    """Return paho's module of clients.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("paho.mqtt.client")
    except ImportError as error:
        raise ConfigError(
            f"MQTT needs paho-mqtt: pip install 'linegate-runtime[mqtt]' ({error})"
        ) from error


class Link:
    """One connection, from its first attempt to its end.

    Args:
        broker: to connect to.
        on_message: takes the payload of each message that was subscribed to.
        on_up: called when the broker has let us in.

    Attributes:
        is_up: whether messages can be published.
        was_up: whether they ever could.
        problem: why it is over or cannot be had, as a sentence; None as long as it is not.
    """

    def __init__(
        self, broker: Broker, on_message: Callable[[bytes], None], on_up: Callable[[], None]
    ) -> None:
        self.is_up = self.was_up = False
        self.problem: str | None = None
        self._broker = broker
        self._on_message = on_message
        self._on_up = on_up
        self._client = self._make_client(import_paho())

    def run(self) -> None:
        """Connect, and return when the connection is over; :attr:`problem` says why."""
        broker, client = self._broker, self._client
        try:
            client.connect(broker.place.host, broker.place.port, broker.keep_alive_s)
            self._stay(time.monotonic() + broker.timeout_s)
        except TimeoutError:
            self.end(f"{broker.title}: no answer for {broker.timeout_s:g} s")
        except ssl.SSLError as error:
            self.end(f"{broker.title}: {tls_failure(error)}")
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.end(f"{broker.title}: {reason}; check the address and that it runs")
        except Exception as error:  # noqa: BLE001 - this thread outlives whatever a broker sends
            self.end(f"{broker.title}: expected MQTT, got {type(error).__name__}: {error}")
        finally:
            self.is_up = False
            connection = client.socket()
            if connection is not None:
                connection.close()
            # The client holds these, and they this object: it is freed without the collector.
            client.on_connect = client.on_message = client.on_subscribe = None

    def publish(self, message: Message) -> Any:
        """Send a message; returns at once.

        Returns:
            What paho calls ``MQTTMessageInfo``.
        """
        return self._client.publish(
            message.topic, message.payload, qos=1, retain=message.is_retained
        )

    def end(self, problem: str | None = None) -> None:
        """Cut the connection; :meth:`run` returns soon. The first problem is kept."""
        if self.problem is None:
            self.problem = problem or f"{self._broker.title}: the connection was closed"
        connection = self._client.socket()
        if connection is not None:
            # Past TLS, whose own shutdown is no matter for two threads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def leave(self) -> None:
        """Say goodbye, so that the broker does not publish the will; :meth:`run` returns soon."""
        self.problem = f"{self._broker.title}: the connection was closed"
        self._client.disconnect()

    def _make_client(self, paho: Any) -> Any:
        broker = self._broker
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.timeout_s
        client.max_inflight_messages_set(0)
        client.username_pw_set(broker.user, broker.password)
        client.will_set(broker.will.topic, broker.will.payload, qos=1, retain=True)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.on_connect = self._take_connack
        client.on_subscribe = self._take_suback
        client.on_message = self._take_message
        # With it, publishing only queues: the thread in run() does all sending.
        client.on_socket_register_write = _leave_to_loop
        client.on_socket_open = _send_at_once
        return client

    def _stay(self, deadline: float) -> None:
        """Send and receive until the connection is over; before the deadline it must be up."""
        code = 0
        while code == 0 and (self.is_up or self.problem is None):
            if not self.is_up and time.monotonic() > deadline:
                raise TimeoutError
            code = self._client.loop(1.0 if self.is_up else _WAIT_S)
        if not self.is_up:
            self.end(
                f"{self._broker.title}: it closed the connection before it let us in; check "
                "that it speaks MQTT 3.1.1 at this port, with or without TLS"
            )
        self.end(
            f"{self._broker.title}: the connection was lost; if that happens again and again, "
            f"check that no other program uses the client_id {self._broker.client_id!r}"
        )

    def _take_connack(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        del userdata, flags, properties
        broker = self._broker
        if reason.is_failure:
            self.problem = (
                f"{broker.title} refuses us: {str(reason).lower()}; check user, password, "
                "certificate and client_id"
            )
            return
        if broker.subscription is not None:
            client.subscribe(broker.subscription, qos=1)
        for message in broker.welcome:
            self.publish(message)
        self.is_up = self.was_up = True
        self._on_up()

    def _take_suback(
        self, client: Any, userdata: Any, mid: Any, reasons: Sequence[Any], properties: Any
    ) -> None:
        del client, userdata, mid, properties
        if any(reason.is_failure for reason in reasons):
            self.end(
                f"{self._broker.title} does not let us read {self._broker.subscription}; "
                "check its access list"
            )

    def _take_message(self, client: Any, userdata: Any, message: Any) -> None:
        del client, userdata
        # What the broker kept from before was said to somebody else, or long ago.
        if not message.retain:
            self._on_message(message.payload)


class Keeper:
    """Keeps a connection to a broker, from when it is first asked for until it is closed.

    Args:
        broker: to connect to.
        on_message: takes the payload of each message that was subscribed to, in another thread.
    """

    def __init__(self, broker: Broker, on_message: Callable[[bytes], None]) -> None:
        self._broker = broker
        self._on_message = on_message
        self._changed = threading.Condition()
        self._wanted = threading.Event()
        self._link: Link | None = None
        self._failures = 0
        self._problem = ""
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def link(self) -> Link | None:
        """The connection if it is up; starts to connect if nobody has."""
        self._start()
        link = self._link
        return link if link is not None and link.is_up else None

    def wait(self, deadline: float) -> Link:
        """Return the connection as soon as it is up.

        Args:
            deadline: ``time.monotonic()`` until when to wait.

        Raises:
            OutputError: the next attempt to connect failed, the time is over or it was closed.
        """
        link = self.link
        if link is not None:
            return link
        with self._changed:
            failures = self._failures
            self._wanted.set()
            while self._link is None or not self._link.is_up:
                self._check_open()
                if self._failures != failures:
                    raise OutputError(self._problem)
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise OutputError(
                        f"{self._broker.title}: no answer for {self._broker.timeout_s:g} s"
                    )
                self._changed.wait(left_s)
            return self._link

    def wait_published(self, link: Link, published: Sequence[Any], deadline: float) -> None:
        """Wait until the broker has acknowledged messages.

        Args:
            link: that they were sent over.
            published: what :meth:`Link.publish` returned.
            deadline: ``time.monotonic()`` until when to wait; then the connection is cut, for
                its client would keep them.

        Raises:
            OutputError: it did not, or the connection was lost or closed.
        """
        for one in published:
            while one.rc != 0 or not one.is_published():
                self.check(link)
                left_s = deadline - time.monotonic()
                if one.rc != 0:  # it was lost just then
                    link.end()
                elif left_s <= 0:
                    link.end(f"{self._broker.title}: no answer for {self._broker.timeout_s:g} s")
                else:
                    one.wait_for_publish(min(left_s, _WAIT_S))
                    continue
                raise OutputError(link.problem)

    def check(self, link: Link) -> None:
        """Raise an OutputError if a connection is over or the sink was closed."""
        self._check_open()
        if not link.is_up:
            raise OutputError(link.problem)

    def close(self) -> None:
        """Say goodbye within a second; who waits is woken."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        self._wanted.set()
        link, thread = self._link, self._thread
        if link is not None:
            self._say_goodbye(link)
        if thread is not None:
            thread.join(_WAIT_S)
            if thread.is_alive() and link is not None:
                link.end()
                thread.join(_WAIT_S)

    def _say_goodbye(self, link: Link) -> None:
        if link.is_up:
            farewell = link.publish(self._broker.farewell)
            if farewell.rc == 0:
                farewell.wait_for_publish(_FAREWELL_S)
            link.leave()
        else:
            link.end()

    def _check_open(self) -> None:
        if self._is_closed:
            raise OutputError(f"{self._broker.title}: the sink was closed")

    def _start(self) -> None:
        with self._changed:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._keep, name="mqtt", daemon=True)
                self._thread.start()

    def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            link = Link(self._broker, self._on_message, self._tell)
            with self._changed:
                if self._is_closed:
                    return
                self._link = link
            link.run()
            with self._changed:
                self._link = None
                self._failures += 1
                self._problem = str(link.problem)
                # Who waited is told now, and who waits from now on asks anew.
                self._wanted.clear()
                self._changed.notify_all()
            pause_s = _FIRST_PAUSE_S if link.was_up else min(2 * pause_s, _LONGEST_PAUSE_S)
            if not self._is_closed:
                self._wanted.wait(pause_s)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _leave_to_loop(client: Any, userdata: Any, connection: Any) -> None:
    """Let paho believe that somebody waits for the socket to take more; loop() does."""
    del client, userdata, connection


def _send_at_once(client: Any, userdata: Any, connection: Any) -> None:
    """Let small messages not wait for the acknowledgement of those before, up to 40 ms each."""
    del client, userdata
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
