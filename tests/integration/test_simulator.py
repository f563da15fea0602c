"""The simulator's command line against a real broker: what it says it sent is what lies in the topics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Consumer, TopicPartition

from agents_emitter.simulator import simulate
from streams import topics
from tests.conftest import create_topics

pytestmark = pytest.mark.integration

NAMES = (topics.METRICS, topics.SPANS, topics.LOGS)
SEED = 20_261_124
"""In every producer id: other tests write to the same topics."""


def records(bootstrap: str) -> Counter[tuple[str, bytes, bytes]]:
    """(topic, key, value) of every record in the three topics that this seed's agents wrote."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "simulator", "enable.auto.commit": False})
    found: Counter[tuple[str, bytes, bytes]] = Counter()
    for topic in NAMES:
        for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            consumer.assign([TopicPartition(topic, number, 0)])
            position = 0
            while position < end:
                message = consumer.poll(20)
                assert message is not None
                assert message.error() is None
                position = message.offset() + 1
                value = message.value() or b""
                if f'"sim-{SEED}-'.encode() in value:
                    found[topic, message.key() or b"", value] += 1
    consumer.close()
    return found


def test_what_is_sent_is_what_the_scenario_says(kafka: Any) -> None:
    create_topics(kafka.bootstrap, [NewTopic(name, num_partitions=2, replication_factor=1) for name in NAMES])
    command = [sys.executable, "-m", "agents_emitter.simulator", "--scenario", "cascade", "--brokers", kafka.bootstrap]
    command += f"--seed {SEED} --seconds 20 --speed inf --start-ns 1700000000000000000".split()
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    expected = list(simulate("cascade", seed=SEED, start_ns=1_700_000_000_000_000_000, duration_seconds=20.0))
    assert records(kafka.bootstrap) == Counter((e.topic, e.key, e.value) for e in expected)
    assert said["records"] == Counter(e.topic for e in expected)
    assert said["events_total"] == sum(e.events for e in expected)
