"""A part is there when another program says so, and that program gets the verdict back."""

import collections
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime import host_port
from linegate_runtime.geometry import Box
from linegate_runtime.host_port import HostPort
from linegate_runtime.part_row import Recorded
from linegate_runtime.security import read_secret, tls_context
from linegate_runtime.triggers.base import (
    Begun,
    CountedOptions,
    Observation,
    Sighting,
    Trigger,
    TriggerOptions,
    check_region,
)
from linegate_runtime.triggers.call_desk import CallDesk, Clerk, Front, open_desk
from linegate_runtime.triggers.call_http import HttpFront
from linegate_runtime.triggers.call_mqtt import BrokerLogin, MqttFront

_LOG = logging.getLogger(__name__)


class SoftwareOptions(CountedOptions, frozen=True, kw_only=True):
    """Options of the software trigger; the next ``frames`` after a call show its part.

    Attributes:
        listen: ``HOST:PORT`` where ``POST /inspect`` is a call; None nowhere.
        token_file: file with a token that HTTP callers must send as ``Authorization: Bearer
            TOKEN``; None asks for none.
        broker: ``HOST:PORT`` of an MQTT broker where a message to ``TOPIC/inspect`` is a call;
            None nowhere. One of ``listen`` and ``broker`` at least.
        topic: of the line at the broker.
        user: to log in at the broker; None logs in as nobody.
        password_file: file with the user's password alone in it.
        tls: talk to the broker through TLS; then its certificate must be right.
        ca: file with the authorities to trust, PEM; None trusts those of the system.
        answer_within_s: a call that has no verdict on record by then is answered with a
            rejection. More than ``deadline_s`` of ``[verdict]``, so that late parts are answered
            with their row.
    """

    listen: str | None = None
    token_file: Path | None = None
    broker: str | None = None
    topic: Annotated[str, msgspec.Meta(pattern=r"^[^+#/$\0][^+#\0]{0,200}$")] = "linegate"
    user: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca: Path | None = None
    answer_within_s: Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)] = 3.0


class SoftwareTrigger(Trigger[SoftwareOptions]):
    """Takes a call as a part; see :class:`SoftwareOptions`.

    For cameras only: calls have the time of ``time.monotonic_ns()``, and so must the frames in
    ``taken_ns``. Calls that come while another one waits for its frames have theirs after it.
    """

    Options: ClassVar[type[TriggerOptions]] = SoftwareOptions
    wants_verdicts: ClassVar[bool] = True

    def __init__(self, options: SoftwareOptions, region: Box | None = None) -> None:
        self._frames = options.frames or 1
        self._view_ns = round(options.answer_within_s * 1e9)
        self._region = region
        self._open: collections.deque[Begun] = collections.deque()
        self._shown = 0
        self._clerk = Clerk()

        # Who differs in more than frames cannot share it, and finds the port taken.
        place = msgspec.structs.replace(options, frames=None)
        self._desk = open_desk(
            place, options.answer_within_s, lambda desk: _open_fronts(options, desk)
        )
        self._desk.join(self._clerk)

    def begun(self, now_ns: int) -> tuple[Begun, ...]:
        """See :meth:`Trigger.begun`."""
        del now_ns
        return tuple(self._take_calls())

    def observe(self, pixels: UInt8Array, taken_ns: int) -> Observation:
        """See :meth:`Trigger.observe`; ``taken_ns`` must be of ``time.monotonic_ns()``."""
        check_region(self._region, pixels)
        self._take_calls()
        ended = []
        while self._open and taken_ns - self._open[0].monotonic_ns > self._view_ns:
            ended.append(self._end())  # nobody waits for it any more
        if not self._open or self._open[0].monotonic_ns > taken_ns:
            return Observation(ended=tuple(ended), state="waiting for a call")
        present = self._open[0].part
        self._shown += 1
        if self._shown == self._frames:
            ended.append(self._end())
        return Observation(
            sightings=(Sighting(part=present, box=self._region),),
            ended=tuple(ended),
            state=f"part {present} was called for",
        )

    def told(self, parts: Sequence[Recorded]) -> None:
        """See :meth:`Trigger.told`."""
        self._clerk.tell(parts)

    def close(self) -> None:
        """Take no more calls; a second call does nothing."""
        self._desk.leave(self._clerk)

    def _take_calls(self) -> list[Begun]:
        begun = [Begun(number, now_ns) for number, now_ns in self._clerk.take_begun()]
        self._open.extend(begun)
        return begun

    def _end(self) -> int:
        self._shown = 0
        return self._open.popleft().part


def _open_fronts(options: SoftwareOptions, desk: CallDesk) -> list[Front]:
    """Open all ways in which calls come, or none of them."""
    if options.listen is None and options.broker is None:
        raise ConfigError("[trigger] expected listen or broker, from where calls come, got neither")
    fronts: list[Front] = []
    try:
        if options.listen is not None:
            fronts.append(_http_front(options, _place(options.listen, "listen"), desk))
        if options.broker is not None:
            login = BrokerLogin(
                place=_place(options.broker, "broker"),
                topic=options.topic,
                user=options.user,
                password=read_secret(None, options.password_file),
                tls=tls_context(options.ca, None, None) if options.tls else None,
            )
            fronts.append(MqttFront(login, desk))
    except BaseException:
        for front in fronts:
            front.close()
        raise
    return fronts


def _http_front(options: SoftwareOptions, place: HostPort, desk: CallDesk) -> HttpFront:
    token = read_secret(None, options.token_file)
    if token is None and not place.is_loopback:
        _LOG.warning(
            "[trigger] listen: whoever reaches %s can call for inspections; give a token_file, "
            "or listen on 127.0.0.1",
            options.listen,
        )
    return HttpFront(place.host, place.port, token, desk)


def _place(text: str, key: str) -> HostPort:
    place = host_port.parse(text)
    if place is None:
        raise ConfigError(f"[trigger] {key}: expected HOST:PORT such as 127.0.0.1:8078")
    return place
