"""``streams performance`` as a user runs it, against a real Kafka."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from streams import topics
from streams.domain.trace import TraceRecord, encode_trace
from streams.services.kafka import KafkaService
from tests.pipeline import run_command
from tests.unit.trace.drawing import EPOCH, SECOND, span
from tests.unit.trace.reference import trace_record

pytestmark = pytest.mark.integration


def streams(kafka: KafkaService, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, STREAMS_BROKERS=kafka.bootstrap, STREAMS_PARTITIONS="2")


def trace(number: int, ago_seconds: float, look_ms: float) -> TraceRecord:
    """A root of 200 ms that waits for ``look``."""
    at_ms = (time.time_ns() - EPOCH) / SECOND * 1_000 - ago_seconds * 1_000
    tokens = {"gen_ai.usage.input_tokens": 1_000, "gen_ai.request.model": "big"}
    root = span("root", at_ms - 200, at_ms, trace=f"{number:032x}")
    look = span("look", at_ms - 199, at_ms - 199 + look_ms, "root", trace=f"{number:032x}", attributes=tokens)
    return trace_record(f"{number:032x}", [root, look])


async def produce(bootstrap: str, records: list[TraceRecord]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for record in records:
            await producer.send(topics.TRACES, encode_trace(record), key=record.trace_id.encode())


def test_the_command_compares_the_last_minutes_with_what_was_before(private_kafka: Any, tmp_path: Path) -> None:
    refused = streams(private_kafka, "performance")
    assert refused.returncode == 3
    assert "streams topics create" in refused.stderr
    assert streams(private_kafka, "topics", "create").returncode == 0
    empty = streams(private_kafka, "performance")
    assert (empty.returncode, orjson.loads(empty.stdout)["traces"]) == (0, 0)

    before = [trace(number, 3_600, 10) for number in range(30)]
    now = [trace(number, 60, 150) for number in range(30, 60)]
    asyncio.run(produce(private_kafka.bootstrap, [*before, *now, now[0]]))
    prices = tmp_path / "prices.yml"
    prices.write_text("models: {big: {input_per_million: 10, output_per_million: 20}}")
    result = streams(private_kafka, "performance", "--minutes", "20", "--prices", str(prices))
    assert result.returncode == 0, result.stderr
    body = orjson.loads(result.stdout)
    assert (body["traces"], body["baseline_traces"]) == (30, 30)
    assert body["bottlenecks"][0]["name"] == body["changes"][0]["name"] == "look"
    assert body["bottlenecks"][0]["slowdown_ratio"] == pytest.approx(15, rel=0.04)
    assert body["cost"] == pytest.approx(0.3)


def test_a_wrong_prices_file_ends_with_a_sentence(private_kafka: Any, tmp_path: Path) -> None:
    result = streams(private_kafka, "performance", "--prices", str(tmp_path / "none.yml"))
    assert (result.returncode, "none.yml" in result.stderr) == (2, True)
    assert streams(private_kafka, "performance", "--minutes", "nan").returncode == 2
