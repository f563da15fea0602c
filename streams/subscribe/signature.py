"""HMAC signatures of webhooks: made here, and checked by whoever receives them."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Streams-Signature"
TIMESTAMP_HEADER: Final = "X-Streams-Timestamp"
TOLERANCE_SECONDS: Final = 300


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """``v1=`` and the hex HMAC-SHA256 over ``timestamp.body``; timestamp in seconds since the epoch."""
    return "v1=" + hmac.new(secret, b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()


def verified(secret: bytes, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether a request is ours and fresh: its signature fits, and its time is at most five minutes away.

    Within those five minutes the same request may come again (ours are sent again until they are answered): know it by
    its ``id``.

    Args:
        secret: the shared one.
        timestamp: value of :data:`TIMESTAMP_HEADER`.
        signature: value of :data:`HEADER`.
        body: the raw body.
        now: seconds since the epoch.
    """
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        return False
    fits = hmac.compare_digest(sign(secret, int(timestamp), body).encode(), signature.encode("utf-8", "replace"))
    return fits and abs(now - int(timestamp)) <= TOLERANCE_SECONDS
