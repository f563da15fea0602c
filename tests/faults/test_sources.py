"""Topics that are made again, thinned out, split, or whose state is newer, under a real broker and real workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer

from agents_emitter import events
from agents_emitter.events import SeriesDefinition, encode_metric_batch, encode_metric_head
from streams import topics
from streams.app.admin import check_topics, create_topics
from streams.app.topicids import Topic, TopicIds
from streams.errors import ConfigurationError
from streams.records.cluster import Cluster
from streams.settings import Settings
from tests.pipeline import Pipeline, Sent, Worker, decoded, eventually, open_pipeline

SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 2,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "session_timeout_seconds": 6,
    "heartbeat_seconds": 1,
    "log_format": "json",
}
pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
T = TypeVar("T")


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path, cache_folder, **SETTINGS) as pipeline:
        yield pipeline


def administer(pipeline: Pipeline, do: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
    async def run() -> T:
        client = AIOKafkaAdminClient(bootstrap_servers=pipeline.broker.bootstrap)
        await client.start()
        try:
            return await do(client)
        finally:
            await client.close()

    return asyncio.run(run())


class Agent:
    """Sends numbered batches of ten events now; ``sent`` counts the events."""

    def __init__(self, pipeline: Pipeline, partition: int = 0) -> None:
        self._pipeline, self._partition, self._seq, self.sent = pipeline, partition, 0, 0
        series = [SeriesDefinition("steps", "1", "counter")]
        self._head = encode_metric_head({"service.name": "s"}, series, f"agent-{partition}")

    def send(self, batches: int) -> None:
        records = []
        for _ in range(batches):
            value = encode_metric_batch(
                self._head,
                seq=self._seq,
                dropped_total=0,
                base_time_unix_nano=time.time_ns(),
                index=[0] * 10,
                offset_ns=[0] * 10,
                value=[1.0] * 10,
            )
            records.append(Sent(topics.METRICS, b"a", value, self._partition))
            self._seq += 1
            self.sent += 10
        self._pipeline.produce(records)


def events_of(worker: Worker) -> float:
    return worker.total("streams_events_total", topic=topics.METRICS)


def settled(worker: Worker, events: int) -> None:
    """All events are counted and all windows are closed."""
    eventually(lambda: events_of(worker) == events, f"{events} events")
    eventually(lambda: worker.total("streams_open_panes") == 0, "all panes closed")


def exported(worker: Worker) -> float:
    return worker.total("steps_total")


def changes(worker: Worker) -> dict[str, float]:
    found: dict[str, float] = {}
    for s in worker.samples():
        if s.name == "streams_source_changes_total" and s.labels["topic"] == topics.METRICS:
            found[s.labels["change"]] = found.get(s.labels["change"], 0) + s.value
    return found


def lines(worker: Worker, change: str) -> list[dict[str, Any]]:
    """What the worker has logged about a change."""
    parsed = [orjson.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in parsed if line.get("change") == change]


def recreate(pipeline: Pipeline) -> None:
    """Deletes a source topic and makes it again, as an operator would."""
    administer(pipeline, lambda client: client.delete_topics([topics.METRICS]))
    settings = Settings.from_environ(pipeline.variables)

    def made() -> bool:
        verdict = asyncio.run(create_topics(settings, [topics.BY_NAME[topics.METRICS]]))[topics.METRICS]
        return verdict == "created"

    eventually(made, "the topic is there again")
    eventually(lambda: topics.METRICS in ids(pipeline), "the broker says so")


def ids(pipeline: Pipeline) -> dict[str, Topic]:
    async def ask() -> dict[str, Topic]:
        client = TopicIds(Cluster(pipeline.broker.bootstrap), [topics.METRICS, topics.STATE, "no-such-topic"])
        try:
            return dict(await client.ask())
        finally:
            await client.close()

    return asyncio.run(ask())


def test_a_topic_that_is_made_again_under_a_running_worker(pipeline: Pipeline) -> None:
    before = ids(pipeline)
    assert before.keys() == {topics.METRICS, topics.STATE}
    assert before[topics.METRICS].partitions == 2
    worker = pipeline.worker("metrics", supervised=True).up()
    agent = Agent(pipeline)
    agent.send(30)
    settled(worker, agent.sent)
    total = exported(worker)
    assert total == agent.sent

    recreate(pipeline)
    after = ids(pipeline)
    assert after[topics.METRICS].epoch != before[topics.METRICS].epoch
    assert after[topics.STATE] == before[topics.STATE]
    agent.send(5)  # far below the old offsets: an offset that is compared with them would be passed over
    eventually(lambda: lines(worker, "recreated"), "the worker has noticed")
    agent.send(5)
    settled(worker, agent.sent)
    assert exported(worker) == agent.sent > total
    assert changes(worker) == {"recreated": 1}  # the other partition had nothing to checkpoint
    assert worker.total("streams_source_offsets_lost_total") == 0  # all windows were closed before
    assert "was deleted and made again" in worker.log.read_text()

    agent.send(50)  # beyond the old offsets
    settled(worker, agent.sent)
    assert worker.terminate() == 0
    again = pipeline.worker("metrics").up()
    settled(again, agent.sent)
    assert exported(again) == agent.sent
    assert changes(again) == {"recreated": 1}
    windows = [b for b in decoded(pipeline.windows()) if b.topic == topics.METRICS and b.size_seconds == 1]
    assert sum(float(b.sum.sum()) for b in windows) == agent.sent


def test_a_topic_that_is_made_again_while_no_worker_runs_and_has_grown_longer(pipeline: Pipeline) -> None:
    worker = pipeline.worker("metrics").up()
    agent = Agent(pipeline)
    agent.send(10)
    settled(worker, agent.sent)
    assert worker.terminate() == 0
    recreate(pipeline)
    agent.send(200)
    again = pipeline.worker("metrics").up()
    settled(again, agent.sent)
    assert exported(again) == agent.sent
    assert changes(again) == {"recreated": 1}
    (line,) = [line for line in lines(again, "recreated") if line["partition"] == 0]
    assert (line["offset"], line["unread_offsets"]) == (0, 0)


def test_what_retention_removes_is_counted(pipeline: Pipeline) -> None:
    worker = pipeline.worker("metrics").up()
    agent = Agent(pipeline)
    agent.send(10)
    settled(worker, agent.sent)
    assert worker.terminate() == 0
    agent.send(40)
    tp = TopicPartition(topics.METRICS, 0)
    end = max(r.offset for r in pipeline.read(topics.METRICS) if r.partition == 0) + 1
    administer(pipeline, lambda client: client.delete_records({tp: RecordsToDelete(before_offset=end - 15)}))
    again = pipeline.worker("metrics").up()
    settled(again, 100 + 150)
    assert again.total("streams_source_offsets_lost_total", change="retention", stage="unread") == 25
    assert changes(again) == {"retention": 1}
    (line,) = lines(again, "retention")
    assert (line["level"], line["unread_offsets"], line["offset"]) == ("ERROR", 25, end - 15)
    incomplete = [b for b in decoded(pipeline.windows()) if b.incomplete]
    assert {b.partition for b in incomplete if b.topic == topics.METRICS} == {0}
    assert exported(again) == 250


def test_more_partitions_are_refused_until_all_topics_have_them(pipeline: Pipeline) -> None:
    worker = pipeline.worker("metrics", supervised=True).up()
    agent = Agent(pipeline)
    agent.send(10)
    settled(worker, agent.sent)
    administer(pipeline, lambda client: client.create_partitions({topics.METRICS: NewPartitions(4)}))
    assert worker.wait(seconds=120) == 2
    assert "agents.metrics has 4 partitions, it had 2" in worker.log.read_text()
    advice = "set STREAMS_PARTITIONS=4 and run `streams topics create`"
    assert advice in worker.log.read_text()

    settings = Settings.from_environ({**pipeline.variables, "STREAMS_PARTITIONS": "4"})
    with pytest.raises(ConfigurationError, match="run `streams topics create`, which adds partitions"):
        asyncio.run(check_topics(settings))
    verdicts = asyncio.run(create_topics(settings))
    assert (verdicts[topics.STATE], verdicts[topics.METRICS], verdicts[topics.OTLP_METRICS]) == (
        "raised",
        "exists",
        "exists",
    )
    asyncio.run(check_topics(settings))
    del pipeline.producer  # the next one knows the new partitions
    newcomer = Agent(pipeline, partition=3)
    newcomer.send(10)  # before a worker knows the partition
    again = pipeline.worker("metrics", partitions=4).up()
    agent.send(10)
    settled(again, agent.sent + newcomer.sent)
    assert changes(again) == {"repartitioned": 1}
    assert exported(again) == agent.sent + newcomer.sent


def test_state_of_a_newer_version_ends_the_worker_for_good_and_is_not_touched(pipeline: Pipeline) -> None:
    worker = pipeline.worker("metrics").up()
    agent = Agent(pipeline)
    agent.send(10)
    settled(worker, agent.sent)
    assert worker.terminate() == 0
    core = next(
        r
        for r in reversed(pipeline.read(topics.STATE))
        if r.partition == 0 and b"window/agents.metrics/0/checkpoint/" in (r.key or b"") and r.key.endswith(b"/core")
    )
    newer = orjson.dumps({**orjson.loads(core.value or b""), "v": 99})
    pipeline.produce([Sent(topics.STATE, core.key, newer, 0)])
    state = len(pipeline.read(topics.STATE))
    agent.send(10)
    supervised = pipeline.worker("metrics", supervised=True)
    supervised.start()
    assert supervised.wait(seconds=120) == 4
    text = supervised.log.read_text()
    assert "has format 99, this version reads up to 2; nothing was written" in text
    assert "restart in" not in text
    assert len(pipeline.read(topics.STATE)) == state


def test_markers_of_transactions_at_the_end_of_a_log_are_no_lag(pipeline: Pipeline) -> None:
    """They are offsets that no reader gets: windows close after them, and nothing stalls."""
    worker = pipeline.worker("metrics").up()
    producer = Producer({"bootstrap.servers": pipeline.broker.bootstrap, "transactional.id": "t", "log_level": 2})
    producer.init_transactions(30)
    for _ in range(3):
        producer.begin_transaction()
        value = events.encode_single("steps", 1.0, time_unix_nano=time.time_ns())
        producer.produce(topics.METRICS, key=b"a", value=value, partition=0)
        producer.commit_transaction(30)
    eventually(lambda: events_of(worker) == 3, "the events")
    eventually(lambda: worker.total("streams_consumer_lag_records") == 0, "no lag")
    eventually(lambda: worker.total("streams_windows_closed_total", window_seconds="1") > 0, "closed by ticks")
    assert changes(worker) == {}


def test_state_that_was_deleted_is_missed(pipeline: Pipeline) -> None:
    worker = pipeline.worker("metrics").up()
    agent = Agent(pipeline)
    agent.send(10)
    settled(worker, agent.sent)
    eventually(
        lambda: pipeline.broker.consumer_groups("streams-metrics") and committed(pipeline, worker),
        "something committed",
    )
    assert worker.terminate() == 0
    administer(pipeline, lambda client: client.delete_topics([topics.STATE]))
    settings = Settings.from_environ(pipeline.variables)
    state = [topics.BY_NAME[topics.STATE]]
    eventually(lambda: asyncio.run(create_topics(settings, state))[topics.STATE] == "created", "the state topic again")
    agent.send(5)
    again = pipeline.worker("metrics").up()
    eventually(lambda: events_of(again) >= 50, "the new events")
    assert lines(again, "state_missing")
    assert changes(again)["state_missing"] >= 1


def committed(pipeline: Pipeline, worker: Worker) -> bool:
    assert worker.running
    rows = pipeline.broker.consumer_groups("streams-metrics")
    return any(row.topic == topics.METRICS and row.partition == 0 and (row.committed or 0) > 0 for row in rows)
