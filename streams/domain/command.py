"""What the pipeline asks a deployer to do (``agents.commands``): roll a version back.

A record's headers hold a signature over its value (``streams.subscribe.commands``): a deployer acts on nothing else.
The same request sent again has the same ``id``: a deployer acts on each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

COMMAND_SCHEMA: Final = "agents.command/1"
VALID_SECONDS: Final = 900.0
"""A command that is older than this is not to be acted on: what it was for may have passed."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        id: 16 hex digits, the same for the same request.
        kind: ``rollback``.
        deployment_id, service, environment: what it is about.
        from_version, to_version: what is taken back, and to what ("" = to what ran before).
        reason, by: for people.
        evidence: of the last verdict: its word, its age, and the gates that failed with their reasons; empty without.
        at_ns, expires_at_ns: when it was asked, and until when it counts.
    """

    id: str
    kind: str
    deployment_id: str
    service: str
    environment: str
    from_version: str
    to_version: str
    reason: str
    by: str
    evidence: Mapping[str, Any]
    at_ns: int
    expires_at_ns: int


def encode_command(command: Command) -> bytes:
    """The value of one record of ``agents.commands``."""
    return orjson.dumps({"v": 1, "schema": COMMAND_SCHEMA, **asdict(command)})


def decode_command(value: bytes) -> Command:
    """The inverse of :func:`encode_command`; unknown fields are ignored.

    Raises:
        ValueError: not a command of a version this code knows.
    """
    body: dict[str, Any] = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != COMMAND_SCHEMA:
        raise ValueError("not a command")
    try:
        return Command(**{name: body[name] for name in Command.__dataclass_fields__})
    except KeyError as error:
        raise ValueError(f"not a command: {error!r}") from error
