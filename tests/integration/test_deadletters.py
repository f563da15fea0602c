"""``streams deadletters`` against a real Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Producer

from streams import topics
from streams.publish.deadletter import dead_letter
from tests.conftest import create_topics
from tests.pipeline import run_command

pytestmark = pytest.mark.integration


def test_dead_letters_are_shown_by_reason_with_the_newest_of_each(
    kafka: Any, unique_name: Callable[[str], str]
) -> None:
    create_topics(kafka.bootstrap, [NewTopic(topics.DEAD_LETTERS, num_partitions=3, replication_factor=1)])
    topic, now_ns = unique_name("planted"), time.time_ns()
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for offset, (reason, value) in enumerate([("json", b"{"), ("json", b"[" * 300), ("unit", b"{}")]):
        made = dead_letter(
            key=b"planner-1",
            value=value,
            reason=reason,
            detail=f"no {reason}",
            topic=topic,
            partition=1,
            offset=offset,
            at_ns=now_ns + offset,
        )
        producer.produce(topics.DEAD_LETTERS, key=made.key, value=made.value, headers=made.headers)
    producer.produce(topics.DEAD_LETTERS, value=b"of another")
    assert producer.flush(30) == 0

    done = run_command("deadletters", "--since", "3600", "--topic", topic, STREAMS_BROKERS=kafka.bootstrap)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"2 of {topic}: json, from 20")
    assert lines[1] == f"    newest: {topic}/1 offset 1 key 'planner-1': no json"
    assert lines[2] == f"    {b'[' * 200!r} ..."
    assert lines[3].startswith(f"1 of {topic}: unit")
    assert lines[5] == "    b'{}'"
    assert "no dead letters of ours" in lines[6]

    one = run_command("deadletters", "--reason", "unit", "--topic", topic, STREAMS_BROKERS=kafka.bootstrap).stdout
    assert "json" not in one
    assert f"1 of {topic}: unit" in one
