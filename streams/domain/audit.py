"""Who asked the API to change something, and what came of it (``agents.audit``): two records of one ``id`` each.

The first is written before anything is done, without a status; the second says how it was answered. Where the second is
missing, the API ended in between.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

AUDIT_SCHEMA: Final = "agents.audit/1"
MAX_BODY_CHARS: Final = 4_000
"""Of a body so much is kept."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that would change something.

    Attributes:
        id: of the request; the answer has it as ``X-Request-Id``.
        at_ns: when.
        by: name of the token, "local" where the API asks for none. scope: of the token. address: of the client.
        method, path, query, body: what was asked; of a body the first :data:`MAX_BODY_CHARS`.
        status: HTTP status of the answer, None before it.
    """

    id: str
    at_ns: int
    by: str
    scope: str
    address: str
    method: str
    path: str
    query: str
    body: str
    status: int | None = None


def encode_entry(entry: Entry) -> bytes:
    """One record of ``agents.audit``."""
    return orjson.dumps({"v": 1, "schema": AUDIT_SCHEMA, **asdict(entry)})


def decode_entry(value: bytes) -> Entry:
    """The inverse of :func:`encode_entry`; unknown fields are ignored.

    Raises:
        ValueError: not an audit record of a version this code knows.
    """
    body: dict[str, Any] = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != AUDIT_SCHEMA:
        raise ValueError("not an audit record")
    try:
        return Entry(**{name: body[name] for name in Entry.__dataclass_fields__})
    except KeyError as error:
        raise ValueError(f"not an audit record: {error!r}") from error
