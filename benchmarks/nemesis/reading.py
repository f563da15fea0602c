"""Plain reads of topics and of workers' pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.page import page

PAGE_SECONDS: Final = 5.0
"""A worker that is stopped answers nothing."""


class Record(NamedTuple):
    """A record as it lies in a topic; ``append_ms`` is the broker's time."""

    partition: int
    offset: int
    append_ms: int
    key: bytes | None
    value: bytes | None


class Sample(NamedTuple):
    """One line of /metrics."""

    name: str
    labels: dict[str, str]
    value: float


def read(bootstrap: str, topic: str) -> list[Record]:
    """All records of a topic up to where each partition ends now, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "nemesis-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "log_level": 2,
        }
    )
    try:
        return sorted(_records(consumer, topic))
    finally:
        consumer.close()


def _records(consumer: Any, topic: str) -> Iterator[Record]:
    left = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
    while left:
        for message in consumer.consume(1000, timeout=1.0):
            error = message.error()
            if error is None:
                made = message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value()
                yield Record(*made)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())


def scrape(port: int) -> list[Sample]:
    """What a worker's /metrics says now; nothing where nobody answers."""
    status, text = page(port, "/metrics", PAGE_SECONDS)
    families = text_string_to_metric_families(text) if status == 200 else ()
    return [Sample(s.name, dict(s.labels), s.value) for family in families for s in family.samples]
