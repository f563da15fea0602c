"""Bounds and intervals of an emitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SAMPLE_BYTES: Final = 160
"""Memory of one buffered sample: a tuple of three (64), a time (32), a value (24), its place in the queue."""


@dataclass(frozen=True, slots=True)
class Options:
    """Every setting of :class:`agents_emitter.Emitter` with its unit and default.

    Attributes:
        flush_interval_seconds: the longest a sample waits before it is encoded.
        max_batch_samples: samples in one record; a ring that holds as many is encoded at once.
        ring_samples, ring_bytes: bound of samples not yet encoded. At the bound the NEW sample is dropped and counted
            (``overflow``): what is already buffered is older, and refusing costs the caller least.
        ring_spans, ring_logs: bound by count of spans and logs not yet encoded; ``ring_bytes`` bounds each by size too.
        spool_batches, spool_bytes: bound, for each of the three topics, of encoded records the broker has not
            acknowledged. At the bound the OLDEST record that was never sent is dropped and counted (``spool``): in a
            long outage the newest data are worth most. A record that was sent is never dropped by the bound, because
            it may have arrived.
        max_series: label sets of all instruments together; over it a metric's overflow series takes the samples.
        connect_timeout_seconds: one attempt to reach the brokers.
        delivery_timeout_seconds: how long aiokafka tries to deliver a record before it is sent again.
        backoff_seconds, backoff_limit_seconds: pause after a failed attempt, doubled up to the limit.
        exit_timeout_seconds: how long the process may wait for delivery when it ends.
        process_interval_seconds: how often the own process is sampled and a heartbeat is sent; 0 for never.
        max_record_bytes: a larger record is dropped and counted (``too_large``).
        capture_content: prompts, answers, arguments and results of tools, system instructions are sent; by default they
            are replaced (``agents_emitter.redaction``).
        redaction_allow: names of attributes and labels whose values are sent as they are, whatever is in them.
        kafka: more arguments for ``AIOKafkaProducer`` (``security_protocol``, ``ssl_context``, ``sasl_*``).
    """

    flush_interval_seconds: float = 0.25
    max_batch_samples: int = 500
    ring_samples: int = 100_000
    ring_bytes: int = 16 * 1024 * 1024
    ring_spans: int = 10_000
    ring_logs: int = 10_000
    spool_batches: int = 10_000
    spool_bytes: int = 16 * 1024 * 1024
    max_series: int = 10_000
    connect_timeout_seconds: float = 10.0
    delivery_timeout_seconds: float = 10.0
    backoff_seconds: float = 0.1
    backoff_limit_seconds: float = 5.0
    exit_timeout_seconds: float = 3.0
    process_interval_seconds: float = 10.0
    max_record_bytes: int = 900_000
    capture_content: bool = False
    redaction_allow: tuple[str, ...] = ()
    kafka: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            ValueError: a bound or interval that is not positive.
        """
        for name in self.__slots__:
            number = getattr(self, name)
            if type(number) in (int, float) and name != "process_interval_seconds" and number <= 0:
                raise ValueError(f"{name} must be positive, got {number!r}")
        if self.process_interval_seconds < 0:
            raise ValueError(f"process_interval_seconds must not be negative, got {self.process_interval_seconds!r}")

    @property
    def sample_limit(self) -> int:
        """Samples the ring takes: the smaller of both bounds."""
        return min(self.ring_samples, self.ring_bytes // SAMPLE_BYTES)
