"""An alert, its identity, and one transition of its life."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

ALERT_SCHEMA: Final = "agents.alert/1"
State = Literal["pending", "firing", "resolved"]
SEVERITIES: Final = ("critical", "high", "warning", "info")


def fingerprint(identity: Mapping[str, str]) -> str:
    """16 hex digits of sha256 over the sorted identity labels: no value, severity, time or incident in it."""
    text = "\x1f".join(f"{name}\x1e{identity[name]}" for name in sorted(identity))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AlertTransition:
    """One step of an alert's life: a record of ``agents.alerts`` (key = fingerprint).

    Attributes:
        fingerprint: over ``identity`` (which includes ``alertname``).
        seq: +1 for each transition of this fingerprint, so that a reader can drop what it has seen.
        state: what it is now; previous: what it was ("" for a new one).
        severity: critical, high, warning or info; not part of the identity.
        starts_at_ns: event time when it began to fire (or to be pending); kept through the whole episode.
        at_ns: event time of this transition; ends_at_ns: event time of the resolution, 0 while it is not resolved.
        value, threshold: the figure that decided.
        evidence: windows, anomalies, trace ids: what a person would want to see.
        revision: 0 as the rules gave it; the incident's revision where it is told again with ``incident_id`` and
            ``suppressed``, because nobody needs to hear of it on its own, or does again. Of one fingerprint the record
            with the highest (``seq``, ``revision``) counts.
        suppressed: the reason as in :class:`streams.domain.incident.Member`, "" = it speaks for itself.
        suppressed_by: who or what is behind it, in words.
    """

    fingerprint: str
    seq: int
    state: State
    previous: str
    alertname: str
    severity: str
    identity: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at_ns: int
    at_ns: int
    ends_at_ns: int
    value: float
    threshold: float
    evidence: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    revision: int = 0
    incident_id: str = ""
    suppressed: str = ""
    suppressed_by: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the records of its fingerprint."""
        return self.seq, self.revision


_REVISED: Final = ("revision", "incident_id", "suppressed", "suppressed_by")
"""Fields that only records have that are told again."""


def encode_alert(transition: AlertTransition) -> bytes:
    """One record of ``agents.alerts``."""
    return orjson.dumps(
        {
            "v": 1,
            "schema": ALERT_SCHEMA,
            "fingerprint": transition.fingerprint,
            "seq": transition.seq,
            "state": transition.state,
            "previous": transition.previous,
            "alertname": transition.alertname,
            "severity": transition.severity,
            "identity": dict(transition.identity),
            "annotations": dict(transition.annotations),
            "starts_at_ns": transition.starts_at_ns,
            "at_ns": transition.at_ns,
            "ends_at_ns": transition.ends_at_ns,
            "value": transition.value,
            "threshold": transition.threshold,
            "evidence": [dict(e) for e in transition.evidence],
            **({name: getattr(transition, name) for name in _REVISED} if transition.revision else {}),
        }
    )


def decode_alert(value: bytes) -> AlertTransition:
    """The inverse of :func:`encode_alert`.

    Raises:
        ValueError: not an alert record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != ALERT_SCHEMA:
        raise ValueError(f"not an alert record: schema {body.get('schema')!r}")
    return AlertTransition(
        fingerprint=body["fingerprint"],
        seq=body["seq"],
        state=body["state"],
        previous=body["previous"],
        alertname=body["alertname"],
        severity=body["severity"],
        identity=body["identity"],
        annotations=body["annotations"],
        starts_at_ns=body["starts_at_ns"],
        at_ns=body["at_ns"],
        ends_at_ns=body["ends_at_ns"],
        value=body["value"],
        threshold=body["threshold"],
        evidence=tuple(body["evidence"]),
        **{name: body[name] for name in _REVISED if name in body},
    )
