"""What people tell the pipeline: acks, maintenance, and what is (not) of an incident (``agents.control``, compacted).

One record per object, key = :func:`control_key`; the newest one counts. Taking something back is a record with
``cleared``, not a tombstone, so that who did it and why is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True)
class Close:
    """An incident is over because somebody says so: resolved, or a part of another.

    Attributes:
        incident_id: what is closed.
        by, why: for people.
        at_ns: when it was said. What began later, nobody knew of: such an incident is not resolved by it.
        into: the incident that takes its members over, "" = it is resolved.
    """

    incident_id: str
    by: str
    why: str
    at_ns: int
    into: str = ""

    @property
    def cleared(self) -> bool:
        """It cannot be taken back: what fires anew brings the incident back."""
        return False


@dataclass(frozen=True, slots=True)
class Unlink:
    """An alert does not belong to an incident because somebody says so.

    Attributes:
        incident_id: which it is in; fingerprint: of the alert.
        by, why: for people.
        at_ns: when it was said. An episode that began later is none of its matters.
    """

    incident_id: str
    fingerprint: str
    by: str
    why: str
    at_ns: int

    @property
    def cleared(self) -> bool:
        """It cannot be taken back: merging the two incidents undoes it."""
        return False


Control = Ack | Maintenance | Close | Unlink
_KINDS: Final = {Ack: "ack", Maintenance: "maintenance", Close: "close", Unlink: "unlink"}


def control_key(control: Control) -> bytes:
    """The record's key."""
    match control:
        case Ack(target=name) | Maintenance(id=name) | Close(incident_id=name):
            pass
        case Unlink(incident_id=incident_id, fingerprint=fingerprint):
            name = f"{incident_id}/{fingerprint}"
    return f"{_KINDS[type(control)]}/{name}".encode()


def encode_control(control: Control) -> bytes:
    """One record of ``agents.control``."""
    return orjson.dumps({"v": 1, "schema": CONTROL_SCHEMA, "kind": _KINDS[type(control)], **asdict(control)})


def decode_control(value: bytes) -> Control:
    """The inverse of :func:`encode_control`; unknown fields are ignored.

    Raises:
        ValueError: not a control record, or one that cannot be (no target, no condition, an end before its begin, an
            incident that is a part of itself).
    """
    body = orjson.loads(value)
    if not isinstance(body, dict) or body.get("schema") != CONTROL_SCHEMA:
        raise ValueError("not a control record")
    try:
        found: Control = _READERS[body["kind"]](body)
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


def _close(body: Mapping[str, Any]) -> Close:
    incident_id, by, why, into = _texts(body, "incident_id", "by", "why", "into")
    (at_ns,) = _numbers(body, "at_ns")
    if not incident_id or into == incident_id:
        raise ValueError("who closes an incident names it, and another one that takes it over, or none")
    return Close(incident_id, by, why, at_ns, into)


def _unlink(body: Mapping[str, Any]) -> Unlink:
    incident_id, fingerprint, by, why = _texts(body, "incident_id", "fingerprint", "by", "why")
    (at_ns,) = _numbers(body, "at_ns")
    if not incident_id or not fingerprint:
        raise ValueError("who takes an alert out of an incident names both")
    return Unlink(incident_id, fingerprint, by, why, at_ns)


def _maintenance(body: Mapping[str, Any]) -> Maintenance:
    name, by, why = _texts(body, "id", "by", "why")
    where = tuple((str(label), tuple(str(value) for value in values)) for label, values in body["where"])
    begin_ns, end_ns = _numbers(body, "starts_at_ns", "ends_at_ns")
    if not name or not where or end_ns <= begin_ns:
        raise ValueError("maintenance needs an id, a condition, and an end after its begin")
    return Maintenance(name, where, by, why, begin_ns, end_ns, body["cleared"] is True)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Control]]] = {
    "ack": _ack,
    "maintenance": _maintenance,
    "close": _close,
    "unlink": _unlink,
}


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
