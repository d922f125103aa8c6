"""An OPC UA server that shows verdicts; the nodes are in :mod:`linegate_runtime.sinks.opcua`."""

import asyncio
import datetime as dt
import hmac
import importlib
import socket
import time
from typing import Any, NamedTuple

import msgspec

from linegate_bundle.errors import ConfigError
from linegate_runtime.host_port import HostPort, cannot_listen
from linegate_runtime.part_row import PartRow, Recorded
from linegate_runtime.sinks.opcua_certificate import Identity
from linegate_runtime.sinks.payload import json_message
from linegate_runtime.sinks.presentation import BEAT_S, VERDICT_CODES, Presentation, Shown

NAMESPACE = "urn:linegate"
"""Of all nodes, and the product's name."""

_TYPES = {
    "Ready": "Boolean",
    "Reasons": "String",
    "Heartbeat": "UInt32",
    "Counters.Accepted": "UInt32",
    "Counters.Rejected": "UInt32",
    "Counters.Unsure": "UInt32",
    "Counters.Total": "UInt32",
    "Uuid": "String",
    "PartNumber": "UInt32",
    "Camera": "String",
    "Region": "String",
    "Label": "String",
    "DefectProbability": "Double",
    "Reason": "String",
    "Time": "DateTime",
    "Row": "String",
    "VerdictCode": "UInt16",
    "Verdict": "String",
}
"""Variables below the object Linegate and the OPC UA types of their values."""

_DOUBLE_WORD = 0xFFFFFFFF


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read.

    Attributes:
        user: name that clients must give; None lets in anybody.
        password: of the user, UTF-8.
        identity: the server's certificate and key; None does not encrypt.
    """

    user: str | None
    password: bytes
    identity: Identity | None


class _Value(NamedTuple):
    """What a variable has; None as the value is none, and None as the time is now."""

    value: Any
    status: str = "Good"
    time: dt.datetime | None = None


class OpcUaServer:
    """Serves what the presentation shows. All its methods belong into one asyncio loop."""

    def __init__(self, presentation: Presentation, address: HostPort, access: Access) -> None:
        self._presentation = presentation
        self._address = address
        self._access = access
        self._ua: Any = None
        self._server: Any = None
        self._nodes: dict[str, Any] = {}
        self._values: dict[str, _Value] = {}
        self._part: Recorded | None = None

    async def start(self) -> None:
        """Build the nodes, which takes seconds on a slow machine, and listen.

        Raises:
            ConfigError: the address cannot be had.
        """
        self._ua = importlib.import_module("asyncua.ua")
        server_module = importlib.import_module("asyncua.server.server")
        self._server = server_module.Server(user_manager=_Users(self._access))
        self._server.name, self._server.manufacturer_name = "linegate", "linegate"
        self._server.product_uri = NAMESPACE
        self._server.application_type = self._ua.ApplicationType.Server
        await self._server.init()
        await self._secure()
        self._server.set_endpoint(f"opc.tcp://{self._address}/linegate")
        await self._add_nodes()
        await self.update()
        try:
            await self._server.start()
        except OSError as error:
            raise ConfigError(cannot_listen(self._address, "opcua", error)) from error

    async def beat(self) -> None:
        """Let the heart beat and show how the line is, for ever."""
        while True:
            self._presentation.beat(time.monotonic_ns())
            await self.update()
            await asyncio.sleep(BEAT_S)

    async def update(self) -> None:
        """Show what has changed.

        Writing a variable puts it into the queues of subscriptions and waits for nothing, so
        that no client reads half of it.
        """
        shown = self._presentation.snapshot(time.monotonic_ns())
        values = _values_of_line(shown)
        if shown.part is not self._part and shown.part is not None:
            values |= _values_of_part(shown.part, is_withheld=shown.is_withheld)
            self._part = shown.part
        values |= _values_of_verdict(shown)
        for name, value in values.items():
            if self._values[name] != value:
                await self._write(name, value)

    async def close(self) -> None:
        """Close all sessions and the port."""
        if self._server is None or self._server.bserver is None:
            return
        # It sleeps for a second, and stop() would wait for that.
        clock, self._server.iserver.time_task = self._server.iserver.time_task, None
        if clock is not None:
            clock.cancel()
        await self._server.stop()

    async def _secure(self) -> None:
        policies, tokens = self._ua.SecurityPolicyType, self._ua.AnonymousIdentityToken
        if self._access.user is not None:
            tokens = self._ua.UserNameIdentityToken
        self._server.set_identity_tokens([tokens])
        identity = self._access.identity
        if identity is None:
            self._server.set_security_policy([policies.NoSecurity])
            await self._server.set_application_uri(f"urn:{socket.gethostname()}:linegate")
            return
        self._server.set_security_policy(
            [policies.Basic256Sha256_SignAndEncrypt, policies.Basic256Sha256_Sign]
        )
        self._server.iserver.certificate = identity.certificate
        self._server.iserver.private_key = identity.key
        await self._server.set_application_uri(identity.application_uri)

    async def _add_nodes(self) -> None:
        index = await self._server.register_namespace(NAMESPACE)
        root = await self._server.nodes.objects.add_object(
            self._ua.NodeId("Linegate", index), self._ua.QualifiedName("Linegate", index)
        )
        counters = await root.add_object(
            self._ua.NodeId("Linegate.Counters", index), self._ua.QualifiedName("Counters", index)
        )
        for name, kind in _TYPES.items():
            parent = counters if name.startswith("Counters.") else root
            kind_of_value = getattr(self._ua.VariantType, kind)
            self._nodes[name] = await parent.add_variable(
                self._ua.NodeId(f"Linegate.{name}", index),
                self._ua.QualifiedName(name.removeprefix("Counters."), index),
                self._ua.get_default_value(kind_of_value),
                kind_of_value,
            )
            await self._write(name, _Value(None, "BadWaitingForInitialData"))

    async def _write(self, name: str, value: _Value) -> None:
        self._values[name] = value
        ua, now = self._ua, dt.datetime.now(dt.UTC)
        kind = ua.VariantType.Null if value.value is None else getattr(ua.VariantType, _TYPES[name])
        data = ua.DataValue(
            ua.Variant(value.value, kind),
            ua.StatusCode(getattr(ua.StatusCodes, value.status)),
            SourceTimestamp=value.time or now,
            ServerTimestamp=now,
        )
        await self._server.write_attribute_value(self._nodes[name].nodeid, data)


class _Users:
    """Lets in who may read; nobody may write or administrate. asyncua's own lets in ``admin``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def get_user(
        self,
        iserver: Any,
        username: str | None = None,
        password: str | None = None,
        certificate: bytes | None = None,
    ) -> Any:
        """Return the user for a session; None refuses it."""
        del iserver
        # asyncua opens channels without security too, for clients that ask for the endpoints.
        if self._access.identity is not None and not certificate:
            return None
        if self._access.user is not None:
            given = ((username or "").encode(), (password or "").encode())
            expected = (self._access.user.encode(), self._access.password)
            if not all(map(hmac.compare_digest, given, expected)):
                return None
        rules = importlib.import_module("asyncua.crypto.permission_rules")
        return rules.User(role=rules.UserRole.User)


def _values_of_line(shown: Shown) -> dict[str, _Value]:
    accepted, rejected, unsure = shown.counts
    return {
        "Ready": _Value(shown.is_ready),
        "Reasons": _Value("; ".join(shown.reasons)),
        "Heartbeat": _Value(shown.heartbeat & _DOUBLE_WORD),
        "Counters.Accepted": _Value(accepted & _DOUBLE_WORD),
        "Counters.Rejected": _Value(rejected & _DOUBLE_WORD),
        "Counters.Unsure": _Value(unsure & _DOUBLE_WORD),
        "Counters.Total": _Value(sum(shown.counts) & _DOUBLE_WORD),
    }


def _values_of_part(part: Recorded, *, is_withheld: bool) -> dict[str, _Value]:
    """Return what tells of a part; it stays as it was written until the next one."""
    row, at = part.row, _time_of(part.row)
    status = "UncertainLastUsableValue" if is_withheld else "Good"
    values = {
        "Uuid": row.uuid,
        "PartNumber": row.part & _DOUBLE_WORD,
        "Camera": row.camera,
        "Region": row.region,
        "Label": row.label or "",
        "Reason": row.reason.value,
        "Time": at,
        "Row": json_message(part).decode(),
    }
    found = {name: _Value(value, status, at) for name, value in values.items()}
    if row.defect_probability is None:
        found["DefectProbability"] = _Value(None, "BadNoDataAvailable", at)
    else:
        found["DefectProbability"] = _Value(row.defect_probability, status, at)
    return found


def _values_of_verdict(shown: Shown) -> dict[str, _Value]:
    if shown.part is None:
        return {}
    if shown.is_withheld or not shown.is_ready:
        return dict.fromkeys(("VerdictCode", "Verdict"), _Value(None, "BadOutOfService"))
    verdict, at = shown.part.row.verdict, _time_of(shown.part.row)
    return {
        "VerdictCode": _Value(VERDICT_CODES[verdict], time=at),
        "Verdict": _Value(verdict.value, time=at),
    }


def _time_of(row: PartRow) -> dt.datetime:
    return dt.datetime.fromisoformat(row.time_utc)
