"""Alerts, anomalies and traces as their topics tell them, and what others than the demo's programs send."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from agents_emitter.events import TICK_SCHEMA
from streams import topics
from streams.demo.figures import SIMULATED
from streams.domain.alert import AlertTransition, decode_alert
from streams.domain.anomaly import Anomaly, decode_anomaly
from streams.domain.incident import Incident, decode_incident

MS_NS: Final = 1_000_000
MAX_ALERTS: Final = 2_000
MAX_STEPS: Final = 40
MAX_INCIDENTS: Final = 500
RECENT: Final = 5
SIMULATED_PRODUCER: Final = b'"producer":"sim-'
PASSED_ON_PRODUCER: Final = b'"producer":"rekey/'
_FETCH_BYTES: Final = 4 * 1_048_576


@dataclass(frozen=True, slots=True)
class Step:
    """One transition of an alert. ``published_ns``: when the broker took it."""

    transition: AlertTransition
    published_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read so far.

    Attributes:
        alerts: fingerprint -> its transitions, oldest first; the newest 40 of the newest 2,000 fingerprints.
        incidents: id -> its newest record; the newest 500 ids.
        anomalies: how many, and the last few.
        traces: service -> assembled traces that it took part in; traces_total: all.
        others: topic -> events of programs that the demo did not start.
        passed_on: spans that the pipeline brought from ``otlp_spans`` to ``agents.spans``.
        failure: why the reading stopped, "" while it goes on.
    """

    alerts: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    anomalies_total: int = 0
    anomalies: tuple[Anomaly, ...] = ()
    traces: Mapping[str, int] = field(default_factory=dict)
    traces_total: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    passed_on: int = 0
    failure: str = ""


class Watch:
    """Reads in a thread of its own from :meth:`start` to :meth:`stop`.

    A record of the results' topics that cannot be read counts as nothing: their writer is ours, and its tests say so.
    """

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._lock = threading.Lock()
        self._alerts: dict[str, deque[Step]] = {}
        self._incidents: dict[str, Incident] = {}
        self._recent: deque[Anomaly] = deque(maxlen=RECENT)
        self._counts: Counter[str] = Counter()
        self._traces: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._failure = ""
        self._stopping = threading.Event()
        self._live = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begins to read, from the beginning of the topics."""
        self._thread.start()

    def go_live(self) -> None:
        """From now on events of others are counted: before, nobody knew the broker's address."""
        self._live.set()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def seen(self) -> Seen:
        """A copy of what was read so far."""
        with self._lock:
            return Seen(
                alerts={name: tuple(steps) for name, steps in self._alerts.items()},
                incidents=dict(self._incidents),
                anomalies_total=self._counts["anomalies"],
                anomalies=tuple(self._recent),
                traces=dict(self._traces),
                traces_total=self._counts["traces"],
                others=dict(self._others),
                passed_on=self._counts["passed_on"],
                failure=self._failure,
            )

    def _run(self) -> None:
        try:
            asyncio.run(self._read())
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: the page shows it
            self._failure = f"{type(error).__name__}: {error}"

    async def _read(self) -> None:
        take: dict[str, Callable[[ConsumerRecord], None]] = {
            topics.ALERTS: self._alert,
            topics.INCIDENTS: self._incident,
            topics.ANOMALIES: self._anomaly,
            topics.TRACES: self._trace,
        }
        results = self._consume(tuple(take), "earliest", lambda record: take[record.topic](record))
        others = self._consume(SIMULATED, "latest", self._other, after=self._live)
        await asyncio.gather(results, others)

    async def _consume(
        self,
        names: tuple[str, ...],
        begin: str,
        take: Callable[[ConsumerRecord], None],
        after: threading.Event | None = None,
    ) -> None:
        while after is not None and not after.is_set():
            if self._stopping.is_set():
                return
            await asyncio.sleep(0.05)
        consumer = AIOKafkaConsumer(
            *names,
            bootstrap_servers=self._brokers,
            auto_offset_reset=begin,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await consumer.start()
        try:
            while not self._stopping.is_set():
                fetched = await consumer.getmany(timeout_ms=200)
                with self._lock:
                    for records in fetched.values():
                        for record in records:
                            take(record)
        finally:
            await consumer.stop()

    def _alert(self, record: ConsumerRecord) -> None:
        transition = decode_alert(record.value)
        if transition.fingerprint not in self._alerts and len(self._alerts) >= MAX_ALERTS:
            del self._alerts[next(iter(self._alerts))]
        steps = self._alerts.setdefault(transition.fingerprint, deque(maxlen=MAX_STEPS))
        if not steps or transition.seq > steps[-1].transition.seq:  # a restarted worker may say it again
            steps.append(Step(transition, record.timestamp * MS_NS))

    def _incident(self, record: ConsumerRecord) -> None:
        incident = decode_incident(record.value)
        if incident.incident_id not in self._incidents and len(self._incidents) >= MAX_INCIDENTS:
            del self._incidents[next(iter(self._incidents))]
        known = self._incidents.get(incident.incident_id)
        if known is None or incident.revision > known.revision:
            self._incidents[incident.incident_id] = incident

    def _anomaly(self, record: ConsumerRecord) -> None:
        self._recent.append(decode_anomaly(record.value))
        self._counts["anomalies"] += 1

    def _trace(self, record: ConsumerRecord) -> None:
        body: dict[str, Any] = orjson.loads(record.value)
        if body["revision"] == 0:
            self._counts["traces"] += 1
            self._traces.update(body["services"])

    def _other(self, record: ConsumerRecord) -> None:
        value = record.value or b""
        passed_on = spans_passed_on(record.topic, value)
        self._counts["passed_on"] += passed_on
        if not passed_on:
            self._others[record.topic] += events_of_others(value)


def spans_passed_on(topic: str, value: bytes) -> int:
    """Spans of a record that the pipeline brought from ``otlp_spans`` to ``agents.spans``; 0: it did not.

    They are the protobuf they came in, or batches of its own. In a demo nobody else writes protobuf there.
    """
    if topic != topics.SPANS:
        return 0
    if PASSED_ON_PRODUCER in value:
        return len(orjson.loads(value)["spans"])
    if not value.startswith(b"\n"):
        return 0
    try:
        groups = TracesData.FromString(value).resource_spans
    except DecodeError:
        return 0
    return sum(len(scope.spans) for group in groups for scope in group.scope_spans)


def events_of_others(value: bytes) -> int:
    """Events in a record of a source topic that neither the simulator nor the pipeline's clock wrote.

    As the pipeline counts: a batch counts what it holds, anything else (a single event, or garbage) is one.
    """
    if SIMULATED_PRODUCER in value:
        return 0
    try:
        body = orjson.loads(value)
    except orjson.JSONDecodeError:
        return 1
    if not isinstance(body, dict):
        return 1
    if body.get("schema") == TICK_SCHEMA:
        return 0
    held = [len(body[name]) for name in ("spans", "logs") if isinstance(body.get(name), list)]
    count = held[0] if held else body.get("count", 1)
    return count if isinstance(count, int) else 1
