"""Bundles reach the partitions of their keys, in order, beside single outputs, and again after a failure."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.memory_records import MemoryRecords

from agents_emitter.redaction import Redactor
from streams.app import sink as module
from streams.app.sink import Many, Output, Sink
from streams.domain.bundle import Bundle
from streams.errors import PublishRefused

PARTITIONS = [0, 1, 2]


class Producer:
    """Keeps what it is sent; the acknowledgement of the batch with a number fails, the partitions are unknown once."""

    def __init__(self, fail_at: int = -1, *, unknown: bool = False) -> None:
        self.sent: list[tuple[str, int, list[tuple[bytes, bytes]]]] = []
        self._fail_at, self._unknown = fail_at, unknown

    def _ensure_producer(self) -> Producer:
        return self

    async def partitions_for(self, topic: str) -> set[int]:
        if self._unknown:
            self._unknown = False
            raise KafkaError
        return set(PARTITIONS)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        done = asyncio.get_running_loop().create_future()
        if len(self.sent) == self._fail_at:
            done.set_exception(KafkaError())
        else:
            done.set_result(SimpleNamespace(offset=7))
        records = MemoryRecords(batch._build()).next_batch()
        self.sent.append((topic, partition, [(r.key, r.value) for r in records]))
        return done


def bundle(first: int, count: int) -> Bundle:
    keys = b"".join(b"%032d" % i for i in range(first, first + count))
    text = bytearray(b"".join(b"%04d" % i for i in range(first, first + count)))
    return Bundle(
        np.frombuffer(keys, np.uint8).reshape(-1, 32), np.frombuffer(text, np.uint8), np.arange(count + 1) * 4
    )


def deliver(producer: Producer, outputs: list[Output | Many], max_bytes: int = 1_000) -> list[int]:
    sink = Sink(SimpleNamespace(producer=producer), max_bytes, Redactor(), clock_ns=lambda: 0)
    return asyncio.run(sink.deliver(outputs))


def of(producer: Producer, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for name, partition, records in producer.sent:
        if name == topic:
            found.setdefault(partition, []).extend(records)
    return found


def expected(*bundles: Bundle) -> dict[int, list[tuple[bytes, bytes]]]:
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for key, value in (record for one in bundles for record in one):
        found.setdefault(DefaultPartitioner()(key, PARTITIONS, PARTITIONS), []).append((key, value))
    return found


def test_records_of_bundles_go_where_their_keys_belong() -> None:
    producer, bundles = Producer(), (bundle(0, 50), bundle(50, 1), bundle(51, 20))
    outputs = [Many("traces", bundles[0]), Output("red", b"k", b"v", 2), *(Many("traces", one) for one in bundles[1:])]
    assert deliver(producer, outputs) == [7]
    assert of(producer, "traces") == expected(*bundles)
    assert of(producer, "red") == {2: [(b"k", b"v")]}


@pytest.mark.parametrize("producer", [Producer(1), Producer(unknown=True)], ids=["batch refused", "topic unknown"])
def test_all_of_them_are_sent_again(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF_SECONDS", (0.0,))
    deliver(producer, [Many("traces", bundle(0, 50)), Output("red", b"k", b"v", 2)])
    last = {partition: records for _, partition, records in producer.sent if len(records) > 1}
    assert last == expected(bundle(0, 50))


def test_a_record_that_is_too_large_is_refused() -> None:
    with pytest.raises(PublishRefused, match="traces exceeds 3"):
        deliver(Producer(), [Many("traces", bundle(0, 2))], max_bytes=3)
