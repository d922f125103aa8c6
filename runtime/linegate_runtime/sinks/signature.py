"""Signatures over requests, so that a receiver knows who sent one, and when.

The header is ``X-Linegate-Signature: t=TIMESTAMP,v1=HEX``: seconds since 1970 at which the
request was sent, and the HMAC-SHA256 (RFC 2104) of the bytes ``TIMESTAMP.BODY`` with the secret
that both sides know. A receiver

1. takes ``t`` and all ``v1`` from the header,
2. computes the HMAC of ``t``, a dot and the body's bytes as they came, before it parses them,
3. compares it in constant time with each ``v1``, and
4. refuses what is older or newer than its tolerance, such as five minutes: an old request that
   somebody has recorded cannot be sent again later. Within the tolerance the UUID tells.

A receiver in Python has :func:`verify_signature` for that.
"""

import hashlib
import hmac
import re

HEADER = "X-Linegate-Signature"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def sign(secret: bytes, body: bytes, now: float) -> str:
    """Return the header's value.

    Args:
        secret: that both sides know.
        body: of the request.
        now: ``time.time()``.
    """
    timestamp = str(int(now))
    return f"t={timestamp},v1={_digest(secret, timestamp, body)}"


def verify_signature(
    secret: bytes, header: str, body: bytes, now: float, tolerance_s: float = 300.0
) -> bool:
    """Say whether a request is from who knows the secret, and was sent just now.

    Args:
        secret: that both sides know.
        header: value of ``X-Linegate-Signature``.
        body: the request's bytes as they came.
        now: ``time.time()``.
        tolerance_s: so much the clocks may differ, and a request be on its way.
    """
    pairs = [one.strip().partition("=")[::2] for one in header.split(",")]
    timestamps = [value for name, value in pairs if name == "t"]
    digests = [value for name, value in pairs if name == "v1"]
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        return False
    expected = _digest(secret, timestamps[0], body).encode()
    is_signed = any(
        hmac.compare_digest(expected, one.encode("utf-8", "replace")) for one in digests
    )
    return is_signed and abs(now - int(timestamps[0])) <= tolerance_s


def _digest(secret: bytes, timestamp: str, body: bytes) -> str:
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
