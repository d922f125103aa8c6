"""The certificate and key of an OPC UA server."""

import importlib
from pathlib import Path
from typing import Any

import msgspec

from linegate_bundle.errors import ConfigError


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a server proves itself by.

    Attributes:
        certificate: as the library cryptography has it.
        key: its private key, likewise.
        application_uri: the name that the certificate gives the server; clients compare it.
    """

    certificate: Any
    key: Any
    application_uri: str


def read_identity(certificate: Path, key: Path) -> Identity:
    """Read a certificate and its key, each PEM or DER.

    Raises:
        ConfigError: a file cannot be read, is something else or belongs to another, or the
            certificate names no application.
    """
    x509 = importlib.import_module("cryptography.x509")
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    content = _read(certificate)
    try:
        if content.startswith(b"-----"):
            loaded = x509.load_pem_x509_certificate(content)
        else:
            loaded = x509.load_der_x509_certificate(content)
    except ValueError as error:
        raise ConfigError(f"{certificate}: expected a certificate as PEM or DER") from error
    content = _read(key)
    try:
        if content.startswith(b"-----"):
            loaded_key = serialization.load_pem_private_key(content, None)
        else:
            loaded_key = serialization.load_der_private_key(content, None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{key}: expected a private key as PEM or DER, without a passphrase"
        ) from error
    if loaded.public_key() != loaded_key.public_key():
        raise ConfigError(f"{key}: expected the key of {certificate}, got another's")
    return Identity(
        certificate=loaded, key=loaded_key, application_uri=_application_uri(loaded, certificate)
    )


def _application_uri(certificate: Any, path: Path) -> str:
    x509 = importlib.import_module("cryptography.x509")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return str(names.get_values_for_type(x509.UniformResourceIdentifier)[0])
    except (x509.ExtensionNotFound, IndexError, ValueError):
        raise ConfigError(
            f"{path}: expected a certificate that names the application, for clients compare "
            "that; make it with a subjectAltName such as "
            "URI:urn:gate-1:linegate,DNS:gate-1"
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
