"""How far a role is with one source partition: a record of ``streams.progress`` every ten seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

PROGRESS_SCHEMA: Final = "streams.progress/1"
PROGRESS_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One source partition in one role.

    Attributes:
        at_ns: when it was so.
        fates: events by fate since the beginning, over restarts: aggregated, late, duplicate, overflow, rejected.
        lag: records that were not applied yet; lag_seconds: for how long at most the oldest of them has waited. None:
            unknown.
        watermark_delay_seconds: by how much event time is behind the clock, None before the first event and where a
            role has no event time of its own.
    """

    role: str
    topic: str
    partition: int
    at_ns: int
    fates: Mapping[str, int]
    lag: int | None = None
    lag_seconds: float | None = None
    watermark_delay_seconds: float | None = None

    @property
    def key(self) -> bytes:
        """Of the record."""
        return f"{self.role}/{self.topic}/{self.partition}".encode()


def encode_standing(standing: Standing) -> bytes:
    """One record of ``streams.progress``."""
    return orjson.dumps({"v": 1, "schema": PROGRESS_SCHEMA, **asdict(standing)})


def decode_standing(value: bytes) -> Standing:
    """The inverse of :func:`encode_standing`; unknown fields are ignored.

    Raises:
        ValueError: not a progress record.
    """
    body = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != PROGRESS_SCHEMA:
        raise ValueError("not a progress record")
    try:
        return _standing(body)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a progress record: {error!r}") from error


def _standing(body: Mapping[str, Any]) -> Standing:
    lag, waited, delay = (body[name] for name in ("lag", "lag_seconds", "watermark_delay_seconds"))
    return Standing(
        str(body["role"]),
        str(body["topic"]),
        int(body["partition"]),
        int(body["at_ns"]),
        {str(fate): int(count) for fate, count in body["fates"].items()},
        None if lag is None else int(lag),
        None if waited is None else float(waited),
        None if delay is None else float(delay),
    )
