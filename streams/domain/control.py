"""What people tell the pipeline: acks of alerts and maintenance windows (``agents.control``, compacted).

One record per object, key = :func:`control_key`; the newest one counts. Taking something back is a record with
``cleared``, not a tombstone, so that who did it and why is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from streams.domain.selector import Conditions

CONTROL_SCHEMA: Final = "agents.control/1"
VERDICTS: Final = ("", "useful", "noise")


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has taken an alert on.

    Attributes:
        target: fingerprint of an alert, or an incident id.
        by, why: for people.
        at_ns: event time of the ack; until_ns: exclusive end, 0 = until the episode (or the incident) ends.
        cleared: the ack was taken back.
        verdict: ``useful``, ``noise``, or "" where nothing was said: what the alert's quality is counted by.
    """

    target: str
    by: str
    why: str
    at_ns: int
    until_ns: int = 0
    cleared: bool = False
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Trouble is expected where the labels match, in [``starts_at_ns``, ``ends_at_ns``) of event time.

    Attributes:
        id: given by who adds it.
        where: conditions on the alert's identity labels, at least one; all must hold.
        by, why: for people.
        cleared: ended before its time.
    """

    id: str
    where: Conditions
    by: str
    why: str
    starts_at_ns: int
    ends_at_ns: int
    cleared: bool = False


Control = Ack | Maintenance


def control_key(control: Control) -> bytes:
    """The record's key."""
    if isinstance(control, Ack):
        return f"ack/{control.target}".encode()
    return f"maintenance/{control.id}".encode()


def encode_control(control: Control) -> bytes:
    """One record of ``agents.control``."""
    kind = "ack" if isinstance(control, Ack) else "maintenance"
    return orjson.dumps({"v": 1, "schema": CONTROL_SCHEMA, "kind": kind, **asdict(control)})


def decode_control(value: bytes) -> Control:
    """The inverse of :func:`encode_control`; unknown fields are ignored.

    Raises:
        ValueError: not a control record, or one that cannot be (no target, no condition, an end before its begin).
    """
    body = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != CONTROL_SCHEMA:
        raise ValueError("not a control record")
    try:
        found = _ack(body) if body["kind"] == "ack" else _maintenance(body)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a control record: {error!r}") from error
    return found


def _ack(body: Mapping[str, Any]) -> Ack:
    target, by, why = _texts(body, "target", "by", "why")
    at_ns, until_ns = _numbers(body, "at_ns", "until_ns")
    if not target:
        raise ValueError("an ack needs a target")
    verdict = body.get("verdict", "")
    if verdict not in VERDICTS:
        raise ValueError(f"a verdict is useful or noise, not {verdict!r}")
    return Ack(target, by, why, at_ns, until_ns, body["cleared"] is True, verdict)


def _maintenance(body: Mapping[str, Any]) -> Maintenance:
    if body["kind"] != "maintenance":
        raise ValueError(f"not a control record: kind {body['kind']!r}")
    name, by, why = _texts(body, "id", "by", "why")
    where = tuple((str(label), tuple(str(value) for value in values)) for label, values in body["where"])
    begin_ns, end_ns = _numbers(body, "starts_at_ns", "ends_at_ns")
    if not name or not where or end_ns <= begin_ns:
        raise ValueError("maintenance needs an id, a condition, and an end after its begin")
    return Maintenance(name, where, by, why, begin_ns, end_ns, body["cleared"] is True)


def _texts(body: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    for name in names:
        if not isinstance(body[name], str):
            raise TypeError(f"{name} is {body[name]!r}, not a text")
    return tuple(body[name] for name in names)


def _numbers(body: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    for name in names:
        if type(body[name]) is not int or not 0 <= body[name] < 1 << 63:
            raise TypeError(f"{name} is {body[name]!r}, not a time in nanoseconds")
    return tuple(body[name] for name in names)
