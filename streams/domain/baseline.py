"""A pinned baseline: what one version of a service measured, kept to hold later versions against.

One record of the compacted topic ``agents.baselines`` per service, environment and profile of gates, key =
:attr:`Pinned.key`; the newest one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

BASELINE_SCHEMA: Final = "agents.baseline/1"


@dataclass(frozen=True, slots=True)
class Pinned:
    """One baseline.

    Attributes:
        service, environment ("" = any), profile: what it is for.
        version: what was measured.
        by, why: for people.
        at_ns: when it was pinned.
        gates: gate -> panes as ``streams.gate.samples.dump`` gives them.
    """

    service: str
    environment: str
    profile: str
    version: str
    by: str
    why: str
    at_ns: int
    gates: Mapping[str, list[list[Any]]]

    @property
    def key(self) -> bytes:
        """Of the record."""
        return baseline_key(self.profile, self.service, self.environment)


def baseline_key(profile: str, service: str, environment: str) -> bytes:
    """The key of the baseline of a service."""
    return orjson.dumps([profile, service, environment])


def encode_pinned(pinned: Pinned) -> bytes:
    """One record of ``agents.baselines``."""
    return orjson.dumps({"v": 1, "schema": BASELINE_SCHEMA, **asdict(pinned)})


def decode_pinned(value: bytes) -> Pinned:
    """The inverse of :func:`encode_pinned`; unknown fields are ignored.

    Raises:
        ValueError: not a baseline record of a version this code knows.
    """
    body: dict[str, Any] = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != BASELINE_SCHEMA or not isinstance(body.get("gates"), dict):
        raise ValueError("not a baseline record")
    try:
        return Pinned(**{name: body[name] for name in Pinned.__dataclass_fields__})
    except KeyError as error:
        raise ValueError(f"not a baseline record: {error!r}") from error
