"""Commands with their signature: as the pipeline writes them, and as a deployer checks them before it acts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from streams.domain.command import Command, decode_command, encode_command
from streams.errors import ConfigurationError
from streams.subscribe.signature import HEADER, TIMESTAMP_HEADER, sign, verified

LEAST_KEY_BYTES: Final = 16


def read_key(path: str, name: str) -> bytes:
    """The key that commands are signed with.

    Raises:
        ConfigurationError: there is none, or it is too short; the message shows no part of it.
    """
    if not path:
        raise ConfigurationError(f"nothing signs commands: name a file with a key in {name}")
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{name}={path}: {error.strerror}") from None
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(f"{name}: the key must have at least {LEAST_KEY_BYTES} bytes")
    return key


def signed(key: bytes, command: Command, now_ns: int) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of a record of ``agents.commands``: time and signature, as webhooks have them."""
    value, timestamp = encode_command(command), now_ns // 10**9
    headers = {TIMESTAMP_HEADER: str(timestamp), HEADER: sign(key, timestamp, value)}
    return value, [(name, text.encode()) for name, text in headers.items()]


def checked(key: bytes, value: bytes, headers: Iterable[tuple[str, bytes]], now_ns: int) -> Command:
    """The command of a record that may be acted on, once for each ``id``.

    Raises:
        ValueError: the signature does not fit or is older than five minutes, or the command has expired.
    """
    found = {name: text.decode("ascii", "replace") for name, text in headers}
    if not verified(key, found.get(TIMESTAMP_HEADER, ""), found.get(HEADER, ""), value, now_ns / 1e9):
        raise ValueError("the signature does not fit, or is older than five minutes")
    command = decode_command(value)
    if now_ns >= command.expires_at_ns:
        raise ValueError(f"command {command.id} has expired")
    return command
