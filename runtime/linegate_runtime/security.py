"""Secrets and certificates of sinks: read once, when the sink is made, and never repeated."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from linegate_bundle.errors import ConfigError


def file_problems(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Return which files of options are not there, for ``SinkOptions.problems``.

    Args:
        files: by the option's key; None where it is left out.
    """
    return {
        key: f"expected a file, got {path}, where none is"
        for key, path in files.items()
        if path is not None and not path.is_file()
    }


def read_secret(text: str | None, path: Path | None) -> bytes | None:
    """Return a secret that stands in the configuration or alone in a file; None without both.

    Line breaks at a file's end do not count.

    Raises:
        ConfigError: the file cannot be read or is empty.
    """
    if path is None:
        return None if text is None else text.encode()
    try:
        content = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from error
    if not content:
        raise ConfigError(f"{path}: expected a secret, got an empty file")
    return content


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return what checks a server's certificate and host name, and shows our own.

    Args:
        ca: certificates of the authorities to trust, PEM; None trusts the system's.
        certificate: our own with its chain, PEM.
        key: of ``certificate``, PEM without a passphrase; None if it is in the same file.

    Raises:
        ConfigError: a file cannot be read, or is not that.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigError(f"{ca}: expected certificates as PEM: {_reason(error)}") from error
    if certificate is not None:
        try:
            # Without a password OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except OSError as error:
            raise ConfigError(
                f"{certificate}: expected a certificate as PEM with its key without a "
                f"passphrase: {_reason(error)}"
            ) from error
    return context


def tls_failure(error: ssl.SSLError) -> str:
    """Return why no TLS came about, and what to do, as the rest of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {error.verify_message}; check `ca`, the host "
            "name in the address and this machine's clock"
        )
    return f"no TLS: {_reason(error)}; check that it speaks TLS at this port"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return error.strerror or str(error)
