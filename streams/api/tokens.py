"""API tokens: hashed in a file, compared in constant time, with scopes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple

from streams.errors import ConfigurationError

SCOPES: Final = ("read", "operate", "deploy", "admin")
"""``admin`` holds all others, and each of the others holds ``read``."""


class Token(NamedTuple):
    """Who it is for, what it may do, SHA-256 of it."""

    name: str
    scope: str
    digest: bytes


def digest_of(secret: str) -> bytes:
    """SHA-256: tokens are long and random, so that no slow hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


def read_tokens(lines: Iterable[str], place: str) -> tuple[Token, ...]:
    """Lines ``name scope sha256-in-hex``; empty ones and comments (#) are passed over.

    For a new token: ``openssl rand -hex 24``, and ``echo -n TOKEN | sha256sum``. To rotate one, both lines stand in
    the file for a while.

    Raises:
        ConfigurationError: names the line; no part of it is shown.
    """
    found = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        try:
            name, scope, digest = parts
            token = Token(name, scope, bytes.fromhex(digest))
        except ValueError:
            raise ConfigurationError(f"{place}: line {number} must read `name scope sha256`") from None
        if scope not in SCOPES or len(token.digest) != 32:
            raise ConfigurationError(
                f"{place}: line {number}: the scope is one of {', '.join(SCOPES)}, sha256 64 digits"
            )
        found.append(token)
    return tuple(found)


def owner(tokens: Iterable[Token], secret: str) -> Token | None:
    """The token that this secret is; all are compared, whatever is found."""
    wanted, found = digest_of(secret), None
    for token in tokens:
        if hmac.compare_digest(token.digest, wanted):
            found = token
    return found


def bearer(tokens: Iterable[Token], header: str) -> Token | None:
    """The token that an ``Authorization`` header names."""
    kind, _, secret = header.partition(" ")
    return owner(tokens, secret.strip()) if kind.lower() == "bearer" else None


def allows(token: Token, scope: str) -> bool:
    """Whether a token may do what needs a scope."""
    return token.scope in ("admin", scope) or scope == "read"
