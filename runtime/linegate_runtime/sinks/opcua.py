"""Verdicts as an OPC UA server, for controllers, line computers (MES, SCADA) and their archives.

The address is ``opc.tcp://HOST:PORT/linegate``, the namespace ``urn:linegate``; nodes have texts
as identifiers, such as ``s=Linegate.Verdict`` and ``s=Linegate.Counters.Total``.

==================== ========= ==================================================================
below Linegate       type      value
==================== ========= ==================================================================
Verdict              String    accept, reject or unsure
VerdictCode          UInt16    1 accept, 2 reject, 3 unsure
Uuid                 String    identifies the verdict everywhere; another one is another part
PartNumber           UInt32    the part's number in its run and region
Camera, Region       String    where it was seen
Label                String    the most probable label; empty without any
DefectProbability    Double    what was measured against the thresholds
Reason               String    vote, few, late, unseen or override
Time                 DateTime  of the verdict; also the source time of all that tells of a part
Row                  String    all of that and more as one JSON object
Counters.Accepted    UInt32    verdicts since this output was started, withheld or not; so
                               Rejected, Unsure and Total
Ready                Boolean   parts can be accepted
Reasons              String    why not
Heartbeat            UInt32    rises by one about every 100 ms while ready
==================== ========= ==================================================================

For the client's program:

- Decide by Verdict or VerdictCode alone, and only if their status is Good. They are without a
  value and BadOutOfService as soon as the verdict is older than ``max_age_s`` or the line is not
  ready, and stay so until the next verdict; before the first all are BadWaitingForInitialData.
- What else tells of a part keeps its value until the next one, and is UncertainLastUsableValue if
  the verdict was withheld from the start, such as one that is told only after an outage.
- Row changes with each verdict, so who subscribes to it with a queue gets each one, complete. Two
  verdicts that are alike are no change of Verdict for a subscription, unless its filter asks for
  changes of the time too (StatusValueTimestamp).
- If linegate is gone the connection is lost; if it hangs, only Heartbeat tells.
- Nothing can be written.
"""

import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from linegate_bundle.errors import ConfigError, OutputError
from linegate_runtime import host_port
from linegate_runtime.machine import boot_id
from linegate_runtime.security import file_problems, read_secret
from linegate_runtime.sinks.base import LineState, Sink, SinkOptions
from linegate_runtime.sinks.loop_thread import LoopThread
from linegate_runtime.sinks.opcua_certificate import read_identity
from linegate_runtime.sinks.opcua_server import Access, OpcUaServer
from linegate_runtime.sinks.presentation import Presentation, Seconds

if TYPE_CHECKING:
    from linegate_runtime.part_row import Recorded

_LOG = logging.getLogger(__name__)

_START_S = 60.0
"""asyncua makes some thousand nodes at the start, which takes a small board several seconds."""

_WRITE_S = 2.0


class OpcUaOptions(SinkOptions, frozen=True, kw_only=True):
    """Options of the OPC UA sink.

    Attributes:
        listen: ``HOST:PORT``; 0.0.0.0 is reached from everywhere. OPC UA's own port is 4840.
        user: name that clients must give; None lets in anybody who reaches the port.
        password_file: file with the user's password alone.
        certificate: of this server, PEM or DER; with it only connections by Basic256Sha256,
            signed or signed and encrypted, are taken. Its subjectAltName must have a URI.
            Which clients to trust is not looked at: that is what ``user`` is for.
        key: of the certificate, without a passphrase.
        max_age_s: a verdict older than that is withheld.
    """

    listen: str
    user: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    password_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    max_age_s: Seconds = 2.0

    def problems(self) -> Mapping[str, str]:
        """See :meth:`SinkOptions.problems`."""
        found = file_problems(
            {
                "password_file": self.password_file,
                "certificate": self.certificate,
                "key": self.key,
            }
        )
        listen = host_port.problem(self.listen)
        if listen is not None:
            found["listen"] = listen
        if (self.user is None) != (self.password_file is None):
            found["user"] = "expected user and password_file, got only one of them"
        if (self.certificate is None) != (self.key is None):
            found["certificate"] = "expected certificate and key, got only one of them"
        return found


class OpcUaSink(Sink[OpcUaOptions]):
    """Shows verdicts to OPC UA clients; the nodes are in this module's text."""

    Options: ClassVar[type[SinkOptions]] = OpcUaOptions

    def __init__(self, options: OpcUaOptions) -> None:
        problems = options.problems()
        address = host_port.parse(options.listen)
        if problems or address is None:
            raise ConfigError("; ".join(f"{key}: {text}" for key, text in problems.items()))
        _import_asyncua()
        host_port.check_free(address, "opcua")
        access = _access_of(options)
        if access.identity is None and not address.is_loopback:
            _LOG.warning(
                "the sink opcua listens on %s without a certificate: what it tells, and a user's "
                "password, can be read on the network; give certificate and key",
                address,
            )
        self._presentation = Presentation(options.max_age_s, boot_id())
        self._server = OpcUaServer(self._presentation, address, access)
        self._loop = LoopThread("opcua")
        try:
            self._loop.run(self._server.start, _START_S)
            self._loop.start(self._server.beat)
        except BaseException:
            self._loop.close(self._server.close)
            raise

    def deliver(self, parts: Sequence["Recorded"]) -> None:
        """See :meth:`Sink.deliver`."""
        for part in parts:
            self._presentation.present([part], time.monotonic_ns())
            try:
                self._loop.run(self._server.update, _WRITE_S)
            except TimeoutError:
                raise OutputError(
                    f"the sink opcua did not write a verdict within {_WRITE_S:g} s; the machine "
                    "has too much to do"
                ) from None

    def show(self, state: LineState) -> None:
        """See :meth:`Sink.show`."""
        self._presentation.show(state, time.monotonic_ns())

    def close(self) -> None:
        """Close all sessions and the port."""
        self._presentation.end()
        self._loop.close(self._server.close)


def _access_of(options: OpcUaOptions) -> Access:
    identity = None
    if options.certificate is not None and options.key is not None:
        identity = read_identity(options.certificate, options.key)
    password = read_secret(None, options.password_file)
    return Access(user=options.user, password=password or b"", identity=identity)


def _import_asyncua() -> None:
    try:
        importlib.import_module("asyncua")
    except ImportError as error:
        raise ConfigError(
            f"the sink opcua needs asyncua: pip install 'linegate-runtime[opcua]' ({error})"
        ) from error
    # What it says is about its protocol; what matters of it, we say ourselves.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
