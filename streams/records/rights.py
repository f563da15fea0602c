"""What each role may do at the brokers, as access control lists; and which of these rights are missing.

Derived from the table of topics, so that a topic and who may touch it can not drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from streams.topics import DEAD_LETTERS, STATE, TOPICS, WINDOWS

ROLES: Final = ("metrics", "traces", "alerts")
TICKING: Final = ("metrics", "traces")
PRINCIPALS: Final = (*ROLES, "api", "emitter", "collector", "deployer", "users")
_OF_WORD: Final[Mapping[str, str]] = {
    "agents_emitter": "emitter",
    "OTLP collector": "collector",
    "your deployer": "deployer",
}
_COMMANDS: Final = frozenset(
    {"streams alerts", "maintenance", "streams deployments", "streams gate baseline", "operators"}
)
"""What people run: with the rights of ``users``, and ``api`` where they write."""
OPERATIONS: Final[Mapping[str, int]] = {"Read": 3, "Write": 4, "Describe": 8}
"""Codes of operations in the answers of brokers (KIP-430)."""


class Right(NamedTuple):
    """One thing that a principal may do.

    Attributes:
        principal: one of :data:`PRINCIPALS`, without the prefix that operators choose.
        operation: Read, Write or Describe. kind: ``topic`` or ``group``; name: of it (a group's is a beginning).
    """

    principal: str
    operation: str
    kind: str
    name: str


def rights(group_prefix: str) -> list[Right]:
    """All rights, sorted. Reading and writing bring the right to describe with them.

    Roles that wait for time write ticks into what they read; the metrics role reads its own windows back after a
    restart; all roles and the api look at every topic when they start.
    """
    found = {Right(who, "Write", "topic", topic.name) for topic in TOPICS for who in _who(topic.producer)}
    found |= {Right(who, "Read", "topic", topic.name) for topic in TOPICS for who in _who(topic.consumers)}
    for role in ROLES:
        found |= {Right(role, operation, "topic", STATE) for operation in ("Read", "Write")}
        found |= {Right(role, "Write", "topic", DEAD_LETTERS), Right(role, "Read", "group", f"{group_prefix}-{role}")}
    found |= {
        right._replace(operation="Write") for right in found if right.principal in TICKING and right.kind == "topic"
    }
    found |= {Right(who, "Describe", "topic", topic.name) for topic in TOPICS for who in (*ROLES, "api")}
    found |= {Right("metrics", "Read", "topic", WINDOWS), Right("users", "Read", "group", "users-")}
    return sorted(found)


def _who(text: str) -> Iterator[str]:
    """Principals from the words of the table: "alerts and traces roles", "api, users", "agents_emitter"."""
    for part in text.split(", "):
        if part in _COMMANDS:
            yield "users"
        elif part in _OF_WORD:
            yield _OF_WORD[part]
        elif part.startswith("all roles"):
            yield from ROLES
        elif part in PRINCIPALS:
            yield part
        else:
            yield from re.findall(r"\w+(?= and| roles?\b)", part)


def commands(rights: Iterable[Right], prefix: str, bootstrap: str) -> list[str]:
    """``kafka-acls`` lines that grant the rights; principals are ``User:`` + prefix + name."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        grouped.setdefault((right.principal, right.operation, right.kind), []).append(right.name)
    return [
        f"kafka-acls --bootstrap-server {bootstrap} --command-config admin.properties --add "
        f"--allow-principal User:{prefix}{who} --operation {operation} "
        + " ".join(f"--{kind} {name}" for name in names)
        + " --resource-pattern-type prefixed" * (kind == "group")
        for (who, operation, kind), names in grouped.items()
    ]


def missing(wanted: Iterable[Right], authorized: Mapping[str, int]) -> list[Right]:
    """Rights to topics that a broker does not grant.

    Args:
        wanted: of one principal.
        authorized: topic -> bits of the operations that are allowed, as the broker says.
    """
    topics = (right for right in wanted if right.kind == "topic")
    return [right for right in topics if not authorized.get(right.name, 0) >> OPERATIONS[right.operation] & 1]
