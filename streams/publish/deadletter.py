"""Records that could not be used, set aside with their original bytes and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

SCHEMA: Final = "streams.dead-letter/1"
MAX_DETAIL_CHARS: Final = 512
MAX_VALUE_BYTES: Final = 8 * 1_048_576
"""Twice what the largest source topic takes: nothing of ours is cut in normal operation."""

Headers = list[tuple[str, bytes]]


class DeadLetterRecord(NamedTuple):
    """What is sent to ``agents.dead-letters``."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class ReadRecord(Protocol):
    """The part of a Kafka record that is read back (aiokafka's ConsumerRecord fits)."""

    @property
    def key(self) -> bytes | None:
        """The original key."""
        ...

    @property
    def value(self) -> bytes | None:
        """The original bytes."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Why and where."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was set aside.

    Attributes:
        key, value: as they were; ``value`` is cut if ``truncated_from_bytes`` is not 0.
        reason: short and stable, the label of ``streams_dead_letters_total``; detail: for a person.
        topic, partition, offset: where it was. at_ns: when it was set aside, nanoseconds since the epoch.
        truncated_from_bytes: the original size of a cut value.
    """

    key: bytes | None
    value: bytes | None
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    at_ns: int
    truncated_from_bytes: int = 0


def dead_letter(
    *,
    key: bytes | None,
    value: bytes | None,
    reason: str,
    detail: str,
    topic: str,
    partition: int,
    offset: int,
    at_ns: int,
    max_value_bytes: int = MAX_VALUE_BYTES,
) -> DeadLetterRecord:
    """The record for ``agents.dead-letters``: key and value unchanged, everything else in headers.

    Bounded: a longer value is cut to ``max_value_bytes`` and the header ``truncated_from_bytes`` says what it was;
    ``detail`` is cut to 512 characters.
    """
    size = len(value) if value is not None else 0
    text = {
        "schema": SCHEMA,
        "reason": reason,
        "detail": detail[:MAX_DETAIL_CHARS],
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "at_ns": str(at_ns),
    }
    if value is not None and size > max_value_bytes:
        value = value[:max_value_bytes]
        text["truncated_from_bytes"] = str(size)
    # A lone surrogate in a detail (it may quote the input) must not be what breaks the dead letter.
    return DeadLetterRecord(key, value, [(name, item.encode("utf-8", "replace")) for name, item in text.items()])


def read_dead_letter(record: ReadRecord) -> DeadLetter:
    """The inverse of :func:`dead_letter`; unknown headers are ignored.

    Raises:
        ValueError: not a dead letter of a version this code knows.
    """
    headers = {name: item.decode("utf-8", "replace") for name, item in record.headers}
    if headers.get("schema") != SCHEMA:
        raise ValueError(f"not a dead letter: schema {headers.get('schema')!r}")
    try:
        return DeadLetter(
            key=record.key,
            value=record.value,
            reason=headers["reason"],
            detail=headers["detail"],
            topic=headers["topic"],
            partition=int(headers["partition"]),
            offset=int(headers["offset"]),
            at_ns=int(headers["at_ns"]),
            truncated_from_bytes=int(headers.get("truncated_from_bytes", "0")),
        )
    except KeyError as error:
        raise ValueError(f"a dead letter without the header {error}") from error
