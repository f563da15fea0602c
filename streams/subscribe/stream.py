"""Alerts and incidents from Kafka, each once, with a place to go on from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.domain.alert import AlertTransition, decode_alert
from streams.domain.incident import Incident, decode_incident
from streams.errors import ServiceUnavailable
from streams.subscribe.wanted import Wanted

REMEMBERED: Final = 100_000
"""Alerts and incidents whose last number is remembered; beyond it the one unseen for longest is forgotten, and a copy
of its last record would be given again."""


class Event(NamedTuple):
    """An alert's transition or an incident's record; exactly one of both is set. The rest says where it is."""

    topic: str
    partition: int
    offset: int
    alert: AlertTransition | None = None
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin where nothing is stored.

    Attributes:
        at_ms: with what was written from this time on (milliseconds since the epoch); 0: everything that is kept;
            None: what comes from now on.
    """

    at_ms: int | None = None


class Subscription:
    """An async iterator of events. One task uses it.

    Workers that die may write a record a second time; it carries the same number and is dropped here. Records that are
    not alerts or incidents are counted in ``unreadable`` and passed over.

    Attributes:
        given, unwanted, repeated, unreadable: records by fate.
    """

    def __init__(self, consumer: Any, group: str, wanted: Wanted) -> None:
        self._consumer, self._group, self._wanted = consumer, group, wanted
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self.given = self.unwanted = self.repeated = self.unreadable = 0

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            record = await self._consumer.getone()
            event = self.read(record)
            if event is not None:
                self.given += 1
                return event

    def read(self, record: ConsumerRecord) -> Event | None:
        """The event of a record; None for one that is not to be given."""
        place = (record.topic, record.partition, record.offset)
        try:
            if record.topic == topics.ALERTS:
                alert = decode_alert(record.value or b"")
                return self._judge(
                    alert.fingerprint, alert.place, self._wanted.alert(alert), Event(*place, alert=alert)
                )
            incident = decode_incident(record.value or b"")
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            return None
        event = Event(*place, incident=incident)
        return self._judge(incident.incident_id, (0, incident.revision), self._wanted.incident(incident), event)

    def _judge(self, key: str, number: tuple[int, int], wanted: bool, event: Event) -> Event | None:
        known = self._seen.pop((event.topic, key), (-1, -1))
        self._seen[event.topic, key] = max(known, number)
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if number <= known:
            self.repeated += 1
            return None
        if not wanted:
            self.unwanted += 1
            return None
        return event

    async def done(self, event: Event) -> None:
        """Stores that this event, and all before it in its partition, need not come again after a restart.

        Without a group there is no place to store it, and this does nothing.

        Raises:
            ServiceUnavailable: the broker did not take it (the partition may have gone to another member).
        """
        if not self._group:
            return
        try:
            await self._consumer.commit({TopicPartition(event.topic, event.partition): event.offset + 1})
        except KafkaError as error:
            raise ServiceUnavailable(f"the place was not stored: {error}") from error


@asynccontextmanager
async def subscribe(
    brokers: str,
    *,
    group: str = "",
    wanted: Wanted = Wanted(),  # noqa: B008 - frozen
    incidents: bool = True,
    alerts: bool = True,
    start: Start = Start(),
    security: Mapping[str, Any] | None = None,
) -> AsyncIterator[Subscription]:
    """Alerts and incidents from now on, or from where the group's members were.

    Args:
        brokers: "host:port,host:port".
        group: name under which :meth:`Subscription.done` stores places in Kafka; members of one group share the
            partitions. "" = nothing is stored, and every subscriber gets everything.
        wanted: what is given.
        incidents: whether incidents are given.
        alerts: whether alerts are given.
        start: where to begin where nothing is stored.
        security: more arguments for ``AIOKafkaConsumer`` (``security_protocol``, ``ssl_context``, ``sasl_*``).

    Raises:
        ServiceUnavailable: no broker answers, or the topics are missing.
    """
    names = [*([topics.ALERTS] if alerts else []), *([topics.INCIDENTS] if incidents else [])]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        **(security or {}),
        group_id=group or None,
        enable_auto_commit=False,
        auto_offset_reset="latest" if start.at_ms is None else "earliest",
        max_partition_fetch_bytes=max(topics.BY_NAME[name].max_record_bytes for name in names),
    )
    try:
        await consumer.start()
        await _begin(consumer, names, group, start)
    except KafkaError as error:
        await consumer.stop()
        raise ServiceUnavailable(f"no broker answers at {brokers}: {error}") from error
    except ServiceUnavailable:
        await consumer.stop()
        raise
    try:
        yield Subscription(consumer, group, wanted)
    finally:
        await consumer.stop()


async def _begin(consumer: Any, names: list[str], group: str, start: Start) -> None:
    known = await consumer.topics()
    missing = [name for name in names if name not in known]
    if missing:
        raise ServiceUnavailable(f"topic {missing[0]} is missing: run `streams topics create`")
    if group:
        consumer.subscribe(names)
        return
    parts = [TopicPartition(name, number) for name in names for number in await _numbers(consumer, name)]
    consumer.assign(parts)
    if start.at_ms:
        found = await consumer.offsets_for_times(dict.fromkeys(parts, start.at_ms))
        for part, place in found.items():
            if place is None:
                await consumer.seek_to_end(part)
            else:
                consumer.seek(part, place.offset)
    elif start.at_ms is None:
        await consumer.seek_to_end(*parts)
    else:
        await consumer.seek_to_beginning(*parts)


async def _numbers(consumer: Any, topic: str) -> list[int]:
    await consumer._client.add_topic(topic)  # partitions_for_topic knows only topics that were asked for
    return sorted(consumer.partitions_for_topic(topic) or ())
