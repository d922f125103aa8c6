"""Calls over MQTT: a message to ``TOPIC/inspect``, answered with the verdict.

A message's content, up to 200 characters of text, is the caller's own name for the call; the
answer goes to ``TOPIC/inspected`` as JSON, with it as ``call``. The line's being there is told
at ``TOPIC/inspect/availability``, retained.
"""

import logging
import socket
import ssl
import threading

import msgspec

from linegate_runtime.host_port import HostPort
from linegate_runtime.mqtt_link import Broker, Keeper, Message, import_paho
from linegate_runtime.triggers.call_desk import CallDesk, Front

_LOG = logging.getLogger(__name__)

_MOST_CALLS = 16
_MOST_NAME = 200
_KEEP_ALIVE_S = 30
_TIMEOUT_S = 10.0


class BrokerLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls come from.

    Attributes:
        place: of the broker.
        topic: of the line.
        user, password: to log in; None as nobody.
        tls: None talks in the clear.
    """

    place: HostPort
    topic: str
    user: str | None = None
    password: bytes | None = None
    tls: ssl.SSLContext | None = None


class MqttFront(Front):
    """Takes calls until it is closed; a broker that is away is tried again and again.

    Args:
        login: of the broker.
        desk: answers.

    Raises:
        ConfigError: paho-mqtt is missing.
    """

    def __init__(self, login: BrokerLogin, desk: CallDesk) -> None:
        import_paho()
        self._topic = login.topic
        self._desk = desk
        self._free = threading.BoundedSemaphore(_MOST_CALLS)
        self._keeper = Keeper(_broker(login), self._take)
        # Connects from now on.
        self._is_up()

    def close(self) -> None:
        """See :meth:`Front.close`."""
        self._keeper.close()

    def _is_up(self) -> bool:
        return self._keeper.link is not None

    def _take(self, payload: bytes) -> None:
        """Answer a call, in a thread of its own, for it takes until there is a verdict."""
        if not self._free.acquire(blocking=False):
            _LOG.warning("a call over MQTT is left out: %d wait for their verdict", _MOST_CALLS)
            return
        name = payload.decode(errors="replace")[:_MOST_NAME]
        threading.Thread(target=self._answer, args=(name,), name="call", daemon=True).start()

    def _answer(self, name: str) -> None:
        try:
            document = {"call": name, **self._desk.call().document()}
            link = self._keeper.link
            if link is None:
                _LOG.warning("a call over MQTT has no answer: the broker is away")
                return
            link.publish(Message(f"{self._topic}/inspected", msgspec.json.encode(document)))
        finally:
            self._free.release()


def _broker(login: BrokerLogin) -> Broker:
    availability = f"{login.topic}/inspect/availability"
    offline = Message(availability, b"offline", is_retained=True)
    return Broker(
        place=login.place,
        client_id=f"linegate-{socket.gethostname()}-{login.topic}-inspect"[:128],
        user=login.user,
        password=login.password,
        tls=login.tls,
        keep_alive_s=_KEEP_ALIVE_S,
        timeout_s=_TIMEOUT_S,
        welcome=(Message(availability, b"online", is_retained=True),),
        will=offline,
        farewell=offline,
        subscription=f"{login.topic}/inspect",
    )
