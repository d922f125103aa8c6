"""Who may connect to the OPC UA sink."""

from pathlib import Path

import pytest
from asyncua.client import client
from asyncua.crypto import cert_gen
from asyncua.ua.uaerrors import BadUserAccessDenied, UaError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from linegate_bundle.errors import ConfigError
from linegate_runtime import host_port
from linegate_runtime.sinks.opcua import OpcUaOptions, OpcUaSink
from tests.runtime.controller_support import free_port, fresh, ready_line
from tests.runtime.opcua_support import reading, serving


def test_without_a_certificate_it_warns_unless_only_this_machine_can_reach_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_port, "check_free", lambda *_: None)
    # Of nobody (RFC 5737), so that nothing is opened to the network for a test.
    with pytest.raises(ConfigError, match=r"cannot listen on 192.0.2.1:48400"):
        OpcUaSink(OpcUaOptions(listen="192.0.2.1:48400"))
    (record,) = caplog.records
    expected = "the sink opcua listens on 192.0.2.1:48400 without a certificate"
    assert record.message.startswith(expected)


def make_certificate(folder: Path, name: str, *, uri: str | None) -> tuple[Path, Path]:
    key = cert_gen.generate_private_key()
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [] if uri is None else [x509.UniformResourceIdentifier(uri)]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = cert_gen.generate_self_signed_app_certificate(key, name, {}, names, usage)
    paths = folder / f"{name}.pem", folder / f"{name}-key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(cert_gen.dump_private_key_as_pem(key))
    return paths


def test_with_certificate_and_user_only_who_encrypts_and_knows_the_password_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path, "server", uri="urn:gate-1:linegate")
    identity = make_certificate(tmp_path, "client", uri="urn:client")
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    port = free_port()

    secured = {"certificate": certificate, "key": key}
    with serving(port, **secured, user="reader", password_file=password) as sink, ready_line(sink):
        sink.deliver([fresh(1)])
        with reading(port, "reader", "open sesame", identity) as reader:
            assert reader.value("Verdict") == "accept"
        refused = pytest.raises(BadUserAccessDenied)
        with refused, reading(port, "reader", "wrong", identity) as reader:
            reader.value("Verdict")
        # A client that does not care which connections are offered: asyncua takes it.
        first = staticmethod(lambda endpoints, *_: endpoints[0])
        monkeypatch.setattr(client.Client, "find_endpoint", first)
        with refused, reading(port, "reader", "open sesame") as reader:
            reader.value("Verdict")
        with pytest.raises(UaError), reading(port) as reader:
            reader.value("Verdict")
    assert "sesame" not in caplog.text


def test_with_a_user_and_no_certificate_the_password_is_asked_for(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame")
    port = free_port()
    with serving(port, user="reader", password_file=password):
        with reading(port, "reader", "open sesame") as reader:
            assert reader.value("Ready") is False
        for user, given in ((None, ""), ("reader", "wrong"), ("other", "open sesame")):
            with pytest.raises(UaError), reading(port, user, given) as reader:
                reader.value("Ready")


def test_a_certificate_that_does_not_fit_is_an_error_at_the_start(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server", uri="urn:gate-1:linegate")
    _, other_key = make_certificate(tmp_path, "other", uri="urn:other")
    nameless, nameless_key = make_certificate(tmp_path, "nameless", uri=None)
    wrong = (
        (certificate, other_key, "expected the key of"),
        (nameless, nameless_key, "subjectAltName such as URI:urn:gate-1:linegate"),
        (key, key, "expected a certificate as PEM or DER"),
        (certificate, certificate, "expected a private key as PEM or DER, without a passphrase"),
    )
    for one, its_key, expected in wrong:
        with pytest.raises(ConfigError, match=expected):
            OpcUaSink(OpcUaOptions(listen=f"127.0.0.1:{free_port()}", certificate=one, key=its_key))
