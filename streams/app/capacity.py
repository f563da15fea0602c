"""The one place where use is added up: parts of all partitions in, figures for Prometheus out.

``agents.capacity`` has one partition, so a limit of the whole system is held against the whole of it, and its forecast
is exported by one worker.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored, Tickless
from streams.app.sink import Output, dead_letter_output
from streams.detect.capacity import CapacityOperator
from streams.domain.capacity import decode_uses
from streams.domain.source import Source, SourceLog, first_seat
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress

_log = logging.getLogger(__name__)
SOURCES: Final = (topics.CAPACITY,)
SNAPSHOT_STEPS: Final = 6
"""A snapshot is written every so many steps (half an hour): what lies between is read again after a restart."""
LONGEST_STEP_SECONDS: Final = 300


def step_seconds(window_seconds: Sequence[int]) -> int:
    """Which of the windows are the steps of forecasts: the longest of at most five minutes, else the shortest."""
    return max((size for size in window_seconds if size <= LONGEST_STEP_SECONDS), default=min(window_seconds))


@dataclass
class CapacityPart(Tickless):
    """The partition of ``agents.capacity``."""

    topic: str
    partition: int
    operator: CapacityOperator
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    source: Source = field(default_factory=Source)
    rejected: int = 0
    _applied: int = -1
    _saved: int = 0

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"alerts/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Forecasters as of the last snapshot; what came after it is read again."""
        found = self._keeper.usable(state, log, self._discarded)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        reason = self.operator.restore(body["capacity"].encode())
        if reason:
            self._discarded(reason)
        self._applied, self.source = seat.applied, seat.source
        return Restored(seat.held, seat=seat)

    def reload(self, operator: CapacityOperator) -> None:
        """Goes on with other resources; forecasts of those that stayed go on."""
        operator.fates.update(self.operator.fates)
        operator.completed = self.operator.completed
        reason = operator.restore(self.operator.snapshot())
        if reason:
            self._discarded(reason)
        self.operator = operator

    def _discarded(self, reason: str) -> None:
        _log.warning("forecasts of capacity begin anew: %s", reason)
        self.health.snapshot_discarded.labels("alerts", "capacity").inc()

    def save(self) -> Step:
        """A snapshot as of what was restored."""
        return self._snapshot([])

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of parts."""
        results: list[Output] = []
        for record in records:
            try:
                self.operator.apply(decode_uses(record.value or b""), record.timestamp * 1_000_000)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self.rejected += 1
                self.health.dead_letters.labels(self.topic, "not_a_use").inc()
                results.append(dead_letter_output(record, "not_a_use", str(error), self.topic, now_ns))
        self._applied = records[-1].offset
        if self.operator.completed - self._saved >= SNAPSHOT_STEPS:
            self._saved = self.operator.completed
            return [self._snapshot(results)]
        return [Step(results)] if results else []

    def _snapshot(self, results: list[Output]) -> Step:
        applied = self._applied

        def delivered() -> None:
            self.committable = applied + 1

        body = {"capacity": self.operator.snapshot().decode()}
        return self._keeper.step(results, body, applied, self.source, delivered)

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values: uses by what became of them."""
        fates = self.operator.fates
        return Progress(
            self.topic,
            self.partition,
            fates={"aggregated": fates["applied"], "late": fates["late"], "overflow": fates["refused"]},
            reasons={"not_a_use": self.rejected, "unknown_resource": fates["unknown"]},
            source=self.source,
            lag=None if lag < 0 else lag,
        )
