"""What the simulator gives out."""

from __future__ import annotations

from typing import NamedTuple


class Emission(NamedTuple):
    """One Kafka record, and when the simulated agent would send it.

    Attributes:
        time_ns: nanoseconds since the epoch; never before what the record reports.
        topic: ``agents.metrics``, ``agents.spans`` or ``agents.logs``.
        key: agent id, for spans the trace id in hex.
        value: the encoded batch.
        events: samples, spans or logs in it.
    """

    time_ns: int
    topic: str
    key: bytes
    value: bytes
    events: int
