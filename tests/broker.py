"""A real MQTT broker, mosquitto, on a port of this machine; it can be killed, hung, restarted."""

import contextlib
import datetime as dt
import ipaddress
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from cryptography import x509

MOSQUITTO = "/usr/sbin/mosquitto"
_START_S = 5.0
_PORTS = (20_000, 32_000)


def require_mosquitto() -> None:
    """Skip the test where there is no mosquitto."""
    if not Path(MOSQUITTO).exists() or shutil.which("mosquitto_passwd") is None:
        pytest.skip("needs the broker mosquitto: apt install mosquitto")


class Certificates(msgspec.Struct, frozen=True):
    """PEM files of an authority, and what it has signed for 127.0.0.1 and for a client.

    Attributes:
        ca: the authority's certificate.
        server, server_key: certificate and key of a server.
        client, client_key: the same of a client.
    """

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


class Mosquitto:
    """A broker. Use :func:`mosquitto`, which ends it.

    Args:
        folder: takes configuration, log and messages.
        persistence: messages survive a restart, even when it is killed.
        users: passwords by name; None lets in everybody.
        certificates: talks TLS with these, and asks clients for one of that authority.

    Attributes:
        port: on 127.0.0.1, the same after a restart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        persistence: bool = False,
        users: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        lines = [
            "user root",
            f"log_dest file {self._log}",
            f"allow_anonymous {'true' if users is None else 'false'}",
            f"listener {self.port} 127.0.0.1",
            "set_tcp_nodelay true",
        ]
        if persistence:
            # Written after each change: a broker that is killed has no other chance.
            lines += ["persistence true", f"persistence_location {folder}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        if users is not None:
            lines.append(f"password_file {_write_passwords(folder / 'passwords', users)}")
        if certificates is not None:
            lines += [f"cafile {certificates.ca}", f"certfile {certificates.server}"]
            lines += [f"keyfile {certificates.server_key}", "require_certificate true"]
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        """``HOST:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the broker has said so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"mosquitto does not start: {self.log if self._log.exists() else ''}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Let it take connections but never answer while the body runs."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None


@contextlib.contextmanager
def mosquitto(
    folder: Path,
    *,
    persistence: bool = False,
    users: Mapping[str, str] | None = None,
    certificates: Certificates | None = None,
) -> Iterator[Mosquitto]:
    """Run a broker while the body runs; see :class:`Mosquitto`. Skips the test without one."""
    require_mosquitto()
    broker = Mosquitto(folder, persistence=persistence, users=users, certificates=certificates)
    try:
        yield broker
    finally:
        broker.kill()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at.

    It is none of those that the system gives to clients: one that tries again and again to
    connect to such a port reaches itself in the end.
    """
    while True:
        port = random.randrange(*_PORTS)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def make_certificates(folder: Path) -> Certificates:
    """Write an authority of its own, and what it signs; valid for an hour."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = dt.datetime.now(dt.UTC)

    def write(
        name: str, issuer: str, signer: ec.EllipticCurvePrivateKey | None
    ) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        above = (signer or key).public_key()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), True)
            # From Python 3.13 on, certificates are checked as strictly as RFC 5280 says.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), False)
            .add_extension(_usage(is_authority=signer is None), True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                False,
            )
            .sign(signer or key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                pem,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return key

    authority = write("authority", "authority", None)
    for name in ("server", "client"):
        write(name, "authority", authority)
    return Certificates(
        ca=folder / "authority.pem",
        server=folder / "server.pem",
        server_key=folder / "server.key",
        client=folder / "client.pem",
        client_key=folder / "client.key",
    )


def _usage(*, is_authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_passwords(path: Path, users: Mapping[str, str]) -> Path:
    path.touch()
    for user, password in users.items():
        subprocess.run(
            ["mosquitto_passwd", "-b", str(path), user, password], check=True, timeout=_START_S
        )
    return path
