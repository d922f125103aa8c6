"""A part is there when another program says so, and that program gets the verdict back."""

import collections
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_bundle.preprocess import UInt8Array
from linegate_runtime.bounded_server import is_loopback
from linegate_runtime.geometry import Box
from linegate_runtime.part_row import Recorded
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

_LOG = logging.getLogger(__name__)

_LAST_PORT = 65535


class SoftwareOptions(CountedOptions, frozen=True, kw_only=True):
    """Options of the software trigger; the next ``frames`` after a call show its part.

    Attributes:
        listen: ``HOST:PORT`` where ``POST /inspect`` is a call.
        token_file: file with a token that callers must send as ``Authorization: Bearer TOKEN``;
            None asks for none.
        answer_within_s: a call that has no verdict on record by then is answered with a
            rejection. More than ``deadline_s`` of ``[verdict]``, so that late parts are answered
            with their row.
    """

    listen: str
    token_file: Path | None = None
    answer_within_s: Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)] = 3.0


class SoftwareTrigger(Trigger[SoftwareOptions]):
    """Takes a call as a part; see :class:`SoftwareOptions`.

    For cameras only: calls have the time of ``time.monotonic_ns()``, and so must the frames in
    ``taken_ns``. Calls that come while another one waits for its frames have theirs after it.
    """

    Options: ClassVar[type[TriggerOptions]] = SoftwareOptions
    wants_verdicts: ClassVar[bool] = True

    def __init__(self, options: SoftwareOptions, region: Box | None = None) -> None:
        host, port = _address(options.listen)
        token = _read_token(options.token_file)
        if token is None and not is_loopback(host):
            _LOG.warning(
                "[trigger] listen: whoever reaches %s can call for inspections; give a token_file, "
                "or listen on 127.0.0.1",
                options.listen,
            )
        self._frames = options.frames or 1
        self._view_ns = round(options.answer_within_s * 1e9)
        self._region = region
        self._open: collections.deque[Begun] = collections.deque()
        self._shown = 0
        self._clerk = Clerk()

        def open_front(desk: CallDesk) -> Front:
            return HttpFront(host, port, token, desk)

        self._desk = open_desk((host, port), options.answer_within_s, open_front)
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


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise ConfigError("[trigger] listen: expected HOST:PORT such as 127.0.0.1:8078")
    return host.strip("[]"), int(port)


def _read_token(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"[trigger] token_file: {path}: {error.strerror or error}") from error
    if not token:
        raise ConfigError(f"[trigger] token_file: expected a token in {path}, got an empty file")
    return token
