"""Brings what people and deployers say to where incidents are formed, ``agents.findings``.

There they have one place in the order of alerts and calls, so that a replay gives the same incidents. What a crash
repeats says the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored, Tickless
from streams.app.sink import Output, dead_letter_output
from streams.domain.control import decode_control
from streams.domain.deployment import decode_deployment
from streams.domain.source import Source, SourceLog, first_seat
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress

SOURCES: Final[Mapping[str, tuple[str, Callable[[bytes], Any]]]] = {
    topics.CONTROL: ("not_a_control", decode_control),
    topics.DEPLOYMENTS: ("not_a_deployment", decode_deployment),
}
"""Topic -> reason of what is refused, and what reads its records."""


@dataclass
class RelayPart(Tickless):
    """One partition of a control topic.

    Attributes:
        counts: records by fate: ``aggregated`` (passed on), ``rejected``.
    """

    topic: str
    partition: int
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"aggregated": 0, "rejected": 0})
    source: Source = field(default_factory=Source)
    _applied: int = -1

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"relay/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """How far it was passed on."""
        found = self._keeper.restore(state, log)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        self.counts, self.source, self._applied = body["counts"], seat.source, seat.applied
        return Restored(seat.held, seat=seat)

    def save(self) -> Step:
        """A checkpoint as of what was restored."""
        return self._checkpointed([])

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Passes a run on, then the checkpoint."""
        results = [self._output(record, now_ns) for record in records]
        self._applied = records[-1].offset
        return [self._checkpointed(results)]

    def _output(self, record: ConsumerRecord, now_ns: int) -> Output:
        reason, read = SOURCES[self.topic]
        try:
            read(record.value or b"")
        except ValueError as error:
            self.counts["rejected"] += 1
            self.health.dead_letters.labels(self.topic, reason).inc()
            return dead_letter_output(record, reason, str(error), self.topic, now_ns)
        self.counts["aggregated"] += 1
        return Output(topics.FINDINGS, record.key, record.value)

    def _checkpointed(self, results: list[Output]) -> Step:
        applied = self._applied

        def delivered() -> None:
            self.committable = applied + 1

        return self._keeper.step(results, {"counts": self.counts}, applied, self.source, delivered)

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values."""
        return Progress(
            self.topic,
            self.partition,
            fates={"aggregated": self.counts["aggregated"]},
            reasons={SOURCES[self.topic][0]: self.counts["rejected"]},
            source=self.source,
            lag=None if lag < 0 else lag,
        )
