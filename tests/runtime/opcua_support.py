"""What tests of OPC UA share: the sink, and a real client's view of its nodes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncua.crypto import security_policies
from asyncua.sync import Client, ThreadLoop

from linegate_runtime.sinks.opcua import OpcUaOptions, OpcUaSink


@contextlib.contextmanager
def serving(port: int, **options: Any) -> Iterator[OpcUaSink]:
    with contextlib.closing(OpcUaSink(OpcUaOptions(listen=f"127.0.0.1:{port}", **options))) as sink:
        yield sink


class Reader:
    """A client's view of the nodes."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def node(self, name: str) -> Any:
        return self.client.get_node(f"ns=2;s=Linegate.{name}")

    def read(self, name: str) -> Any:
        return self.node(name).read_data_value(raise_on_bad_status=False)

    def value(self, name: str) -> Any:
        return self.read(name).Value.Value

    def status(self, name: str) -> str:
        return str(self.read(name).StatusCode.name)


@contextlib.contextmanager
def reading(
    port: int,
    user: str | None = None,
    password: str = "",
    identity: tuple[Path, Path] | None = None,
) -> Iterator[Reader]:
    loop = ThreadLoop()
    loop.start()
    client = Client(f"opc.tcp://127.0.0.1:{port}/linegate", timeout=2, tloop=loop)
    try:
        if user is not None:
            client.set_user(user)
            client.set_password(password)
        if identity is not None:
            client.application_uri = "urn:client"
            policy = security_policies.SecurityPolicyBasic256Sha256
            client.set_security(policy, *map(str, identity))
        client.connect()
        try:
            yield Reader(client)
        finally:
            client.disconnect()
    finally:
        loop.stop()
