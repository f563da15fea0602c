"""The alerts role: closed windows in; anomalies, alert transitions and Alertmanager's desired state out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored, Tickless
from streams.app.sink import Output, dead_letter_output
from streams.correlate.ended import Ended
from streams.correlate.operator import CorrelateOperator
from streams.detect import joint, ratios, registry
from streams.detect.bands import BandOperator
from streams.detect.capacity import Users
from streams.detect.joint import Verdicts
from streams.detect.operator import DetectOperator, DetectResult
from streams.detect.ratios import RatioOperator
from streams.detect.vectors import VectorOperator
from streams.domain.alert import AlertTransition, encode_alert
from streams.domain.anomaly import Anomaly, encode_anomaly
from streams.domain.capacity import encode_uses
from streams.domain.source import Source, SourceLog, first_seat
from streams.domain.window import SeriesLists, WindowAssembler, WindowBatch, decode_window_batch
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress
from streams.window.operator import QUIET_PANES

_log = logging.getLogger(__name__)
SOURCES: Final = (topics.WINDOWS,)
LATE_SNAPSHOTS: Final = 10
"""An Alertmanager that is away must not make a restart read ever more again."""


@dataclass
class AlertCounts:
    """What this start of a partition has done, for the health metrics."""

    scored: int = 0
    warming_up: int = 0
    anomalies: int = 0
    transitions: int = 0
    rejected: int = 0


@dataclass
class AlertsPart(Tickless):
    """One partition of ``agents.windows``.

    Attributes:
        make_detect, make_correlate: new operators; one detector bank per source topic, one set of rules.
        notify: takes each transition to Alertmanager's desired state; must not block. resume: the same for alerts that
            were open before a restart, or had ended not long before. told: whether Alertmanager knows everything so
            far; while it does not, the snapshot waits (for :data:`LATE_SNAPSHOTS` times ``snapshot_every`` at most), so
            that a worker that dies now reads again what nobody was told.
        make_bands, make_ratios, make_vectors: new operators of expected values, of error ratios and of features that
            hang together, one per source topic.
        users: what uses resources that have a limit, in windows of ``step_ns``.
    """

    topic: str
    partition: int
    make_detect: Callable[[], DetectOperator]
    make_correlate: Callable[[], CorrelateOperator]
    notify: Callable[[AlertTransition], None]
    resume: Callable[[Sequence[AlertTransition]], None]
    snapshot_every: int
    pane_ns: int
    detector: str
    make_bands: Callable[[], BandOperator]
    make_ratios: Callable[[], RatioOperator]
    make_vectors: Callable[[], VectorOperator]
    users: Users = field(default_factory=lambda: Users(()))
    step_ns: int = 0
    health: Health = field(default_factory=unobserved)
    told: Callable[[], bool] = lambda: True
    committable: int | None = None
    counts: AlertCounts = field(default_factory=AlertCounts)
    detectors: dict[str, DetectOperator] = field(default_factory=dict)
    bands: dict[str, BandOperator] = field(default_factory=dict)
    ratios: dict[str, RatioOperator] = field(default_factory=dict)
    vectors: dict[str, VectorOperator] = field(default_factory=dict)
    correlate: CorrelateOperator = field(init=False)
    source: Source = field(default_factory=Source)
    _assembler: WindowAssembler = field(default_factory=WindowAssembler)
    _series_lists: SeriesLists = field(default_factory=SeriesLists)
    _begun: dict[tuple[str, int, int], int] = field(default_factory=dict)
    _ends: dict[str, int] = field(default_factory=dict)
    _ended: Ended = field(default_factory=Ended)
    _since_snapshot: int = 0
    _applied: int = -1

    def __post_init__(self) -> None:
        self.correlate = self.make_correlate()
        self._keeper = Keeper(f"alerts/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Detectors and alerts as of the last snapshot; what came after it is read again.

        In a log that begins anew they go on: windows they have seen are stale to them, by event time.
        """
        found = self._keeper.usable(state, log, self._discarded)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        for topic, data in body["detect"].items():
            self.detectors[topic] = self.make_detect()
            self._restored("detect", self.detectors[topic].restore(data.encode()).reason)
        for topic, data in body.get("bands", {}).items():  # bodies from before there were bands have none
            self.bands[topic] = self.make_bands()
            self._restored("bands", self.bands[topic].restore(data.encode()))
        for topic, data in body.get("ratios", {}).items():  # the same of ratios
            self.ratios[topic] = self.make_ratios()
            self._restored("ratios", self.ratios[topic].restore(data.encode()))
        for topic, data in body.get("vectors", {}).items():  # the same of vectors
            self.vectors[topic] = self.make_vectors()
            self._restored("vectors", self.vectors[topic].restore(data.encode()))
        self._restored("correlate", self.correlate.restore(body["correlate"].encode()).reason)
        self._applied = seat.applied
        self._ends = body["ends"]
        self.source = seat.source
        self._ended.load(body.get("ended", ()))  # the same of ended alerts
        self.resume([*self._ended.alerts(), *self.correlate.active()])
        return Restored(seat.held, seat=seat)

    def reload(self, users: Users) -> None:
        """Goes on with what the makers give now: alerts of rules that stayed the same stay as they are, those of rules
        that changed or went away are resolved with the next window; bands, ratios and vectors that are still asked for
        go on.
        """
        self.users = users
        for topic, bands in self.bands.items():
            self.bands[topic] = self.make_bands()
            self._restored("bands", self.bands[topic].restore(bands.snapshot()))
        for topic, shares in self.ratios.items():
            self.ratios[topic] = self.make_ratios()
            self._restored("ratios", self.ratios[topic].restore(shares.snapshot()))
        for topic, vectors in self.vectors.items():
            self.vectors[topic] = self.make_vectors()
            self._restored("vectors", self.vectors[topic].restore(vectors.snapshot()))
        before = self.correlate
        self.correlate = self.make_correlate()
        self._restored("correlate", self.correlate.restore(before.snapshot()).reason)
        self.correlate.counts.update(before.counts)

    def _discarded(self, reason: str) -> None:
        """Detectors learn anew, alerts begin anew: nothing is resolved by it."""
        _log.warning("alert state of partition %d begins anew: %s", self.partition, reason)
        self.health.snapshot_discarded.labels("alerts", "damaged").inc()

    def save(self) -> Step:
        """A snapshot as of what was restored."""
        return self._snapshot([])

    def _restored(self, room: str, reason: str) -> None:
        if reason:
            _log.warning("%s state of partition %d is not used: %s", room, self.partition, reason)
            self.health.snapshot_discarded.labels("alerts", room).inc()

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of window records."""
        results: list[Output] = []
        for record in records:
            results += self._record(record, now_ns)
        self._applied = records[-1].offset
        if self._since_snapshot >= self.snapshot_every * (1 if self.told() else LATE_SNAPSHOTS):
            self._since_snapshot = 0
            return [self._snapshot(results)]
        return [Step(results)] if results else []

    def _record(self, record: ConsumerRecord, now_ns: int) -> list[Output]:
        try:
            body = decode_window_batch(record.value or b"", self._series_lists.of)
        except (ValueError, KeyError, TypeError) as error:
            self.counts.rejected += 1
            self.health.dead_letters.labels(self.topic, "not_a_window").inc()
            return [dead_letter_output(record, "not_a_window", str(error), self.topic, now_ns)]
        used = self._used(body)
        if body.end_ns - body.start_ns != self.pane_ns:
            return used
        batch = self._assembler.add(body)
        if batch is None:
            self._begun.setdefault((body.topic, body.partition, body.start_ns), record.offset)
            return used
        source, start_ns = (batch.topic, batch.partition), batch.start_ns
        self._begun = {k: offset for k, offset in self._begun.items() if k[:2] != source or k[2] > start_ns}
        return used + self._window(batch)

    def _used(self, body: WindowBatch) -> list[Output]:
        """What a record of windows says of capacity: of each record by itself, the parts meet in their topic."""
        uses = self.users.of(body) if body.end_ns - body.start_ns == self.step_ns else None
        return [Output(topics.CAPACITY, uses.source.encode(), encode_uses(uses))] if uses else []

    def _window(self, batch: WindowBatch) -> list[Output]:
        anomalies = self._judge(batch)
        self._since_snapshot += 1
        outputs = [Output(topics.ANOMALIES, one.series.id.encode(), encode_anomaly(one)) for one in anomalies]
        outputs += self._transitions(self.correlate.apply(batch, anomalies))
        if batch.topic != topics.RED:  # agents are not seen there, and it is behind the others by design
            self._ends[batch.topic] = max(batch.end_ns, self._ends.get(batch.topic, 0))
        return outputs + self._transitions(self.correlate.advance(self._watermark_ns()))

    def _judge(self, batch: WindowBatch) -> list[Anomaly]:
        """What the detectors of the batch's source topic find."""
        if batch.topic not in self.detectors:
            self.detectors[batch.topic] = self.make_detect()
        if batch.topic not in self.bands:
            self.bands[batch.topic] = self.make_bands()
        if batch.topic not in self.ratios:
            self.ratios[batch.topic] = self.make_ratios()
        if batch.topic not in self.vectors:
            self.vectors[batch.topic] = self.make_vectors()
        self.bands[batch.topic].apply(batch)
        found, shares = self.detectors[batch.topic].apply(batch), self.ratios[batch.topic].apply(batch)
        vectors = self.vectors[batch.topic].apply(batch)
        self.counts.scored += found.scored
        self.counts.warming_up += found.warming_up
        self.counts.anomalies += len(found.anomalies) + len(shares) + len(vectors.anomalies)
        self._observe(found, len(shares))
        self._observe_vectors(vectors)
        return [*found.anomalies, *shares, *vectors.anomalies]

    def _watermark_ns(self) -> int:
        """How far all sources are that still close windows; one that has closed none for long does not hold time up."""
        newest_ns = max(self._ends.values(), default=0)
        oldest_ns = newest_ns - QUIET_PANES * self.pane_ns
        return min((end_ns for end_ns in self._ends.values() if end_ns >= oldest_ns), default=0)

    def _observe(self, found: DetectResult, shares: int) -> None:
        verdicts = self.health.detector_verdicts
        small = sum(one.detector != self.detector for one in found.anomalies)
        for name, scored, anomalies, warming_up in (
            (
                self.detector,
                found.scored - found.small_scored,
                len(found.anomalies) - small,
                found.warming_up - found.small_warming_up,
            ),
            (registry.SMALL, found.small_scored, small, found.small_warming_up),
        ):
            verdicts.labels(name, "normal").inc(max(0, scored - anomalies))
            verdicts.labels(name, "anomaly").inc(anomalies)
            verdicts.labels(name, "warming_up").inc(warming_up)
        verdicts.labels(self.detector, "stale").inc(found.stale)
        verdicts.labels(self.detector, "refused").inc(found.refused)
        verdicts.labels(ratios.DETECTOR, "anomaly").inc(shares)

    def _observe_vectors(self, found: Verdicts) -> None:
        for verdict, count in (
            ("normal", found.scored - len(found.anomalies)),
            ("anomaly", len(found.anomalies)),
            ("warming_up", found.warming_up),
            ("incomplete", found.incomplete),
            ("stale", found.stale),
            ("refused", found.refused),
        ):
            if count:
                self.health.detector_verdicts.labels(joint.DETECTOR, verdict).inc(count)

    def _transitions(self, transitions: Sequence[AlertTransition]) -> list[Output]:
        self.counts.transitions += len(transitions)
        for transition in transitions:
            self.notify(transition)
            self._ended.take(transition)
        made = [(t.fingerprint.encode(), encode_alert(t)) for t in transitions]
        return [Output(topic, key, value) for key, value in made for topic in (topics.ALERTS, topics.FINDINGS)]

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values: series-windows by what the detectors said."""
        watermark_ns = self.correlate.watermark_ns
        return Progress(
            self.topic,
            self.partition,
            fates={"aggregated": self.counts.scored, "warming_up": self.counts.warming_up},
            reasons={"not_a_window": self.counts.rejected},
            source=self.source,
            lag=None if lag < 0 else lag,
            watermark_delay_seconds=(now_ns - watermark_ns) / 1e9 if watermark_ns else None,
        )

    def _snapshot(self, results: list[Output]) -> Step:
        body = {
            "detect": {topic: detect.snapshot().decode() for topic, detect in self.detectors.items()},
            "bands": {topic: bands.snapshot().decode() for topic, bands in self.bands.items()},
            "ratios": {topic: operator.snapshot().decode() for topic, operator in self.ratios.items()},
            "vectors": {topic: operator.snapshot().decode() for topic, operator in self.vectors.items()},
            "correlate": self.correlate.snapshot().decode(),
            "ends": self._ends,
            "ended": self._ended.dump(),
        }
        # of a window that is not complete the first record is read again (what has been applied is stale then)
        applied = min(self._begun.values(), default=self._applied + 1) - 1

        def delivered() -> None:
            self.committable = applied + 1

        return self._keeper.step(results, body, applied, self.source, delivered)
