"""Signatures of webhooks: made by the relay, checked by receivers.

`X-Huleedu-Signature` is `v1=` and the hexadecimal HMAC-SHA256 of timestamp, a full stop and the
body's bytes. The timestamp is signed too, so an old request cannot be sent again later.
"""

import hashlib
import hmac
from collections.abc import Mapping

ID_HEADER = "X-Huleedu-Event-Id"
TYPE_HEADER = "X-Huleedu-Event-Type"
TIMESTAMP_HEADER = "X-Huleedu-Timestamp"
SIGNATURE_HEADER = "X-Huleedu-Signature"
SHORTEST_SECRET = 16
"""Bytes of a secret, at least."""

_MOST_DIGITS = 12


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The value of `X-Huleedu-Signature`.

    Args:
        secret: What sender and receiver share.
        timestamp: Seconds since 1970, UTC.
        body: The request's body as it is sent.
    """
    signed = b"%d.%s" % (timestamp, body)
    return f"v1={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"


def verify(
    secret: bytes,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance: float = 300,
) -> bool:
    """Whether a request is from the holder of the secret, and from just now.

    The signature is compared in constant time.

    Args:
        secret: What sender and receiver share.
        headers: The request's headers, in any case.
        body: The request's body as it came, before any parsing.
        now: Seconds since 1970, UTC.
        tolerance: Seconds that the request may be old, or ahead of this clock.
    """
    found = {name.lower(): value for name, value in headers.items()}
    stamp = found.get(TIMESTAMP_HEADER.lower(), "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MOST_DIGITS):
        return False
    given = found.get(SIGNATURE_HEADER.lower(), "")
    # Bytes, since text with other letters than ASCII would raise.
    same = hmac.compare_digest(sign(secret, int(stamp), body).encode(), given.encode())
    return same and abs(now - int(stamp)) <= tolerance
