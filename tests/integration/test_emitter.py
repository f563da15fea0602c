"""The emitter against a real broker: what it says it delivered is what a plain consumer reads from the topic."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Consumer, TopicPartition

from agents_emitter import Emitter
from streams import topics
from streams.services.kafka import KafkaService
from tests.conftest import create_topics
from tests.unit.emitter.broker import agree, eventually, samples_of

pytestmark = pytest.mark.integration

TOPICS = (topics.METRICS, topics.SPANS, topics.LOGS)


def make_topics(bootstrap: str) -> None:
    create_topics(bootstrap, [NewTopic(name, num_partitions=2, replication_factor=1) for name in TOPICS])


def read(bootstrap: str, topic: str, agent: str) -> list[dict[str, Any]]:
    """Every record of an agent in a topic, in order, repeats included."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    bodies = []
    for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
        consumer.assign([TopicPartition(topic, number, 0)])
        position = 0
        while position < end:
            message = consumer.poll(20)
            assert message is not None
            assert message.error() is None
            position = message.offset() + 1
            body = orjson.loads(message.value() or b"")
            if body["resource"]["gen_ai.agent.id"] == agent:
                bodies.append({**body, "key": message.key()})
    consumer.close()
    return bodies


def once(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the repeats of a batch."""
    return list({(body["producer"], body["seq"]): body for body in reversed(bodies)}.values())[::-1]


@pytest.fixture
def emitter(kafka: Any, unique_name: Any) -> Iterator[Emitter]:
    make_topics(kafka.bootstrap)
    with Emitter(kafka.bootstrap, service_name="it", agent_id=unique_name("agent"), process_interval_seconds=0) as made:
        yield made


def test_everything_arrives(emitter: Emitter, kafka: Any) -> None:
    logger = logging.Logger("agent")
    logger.addHandler(emitter.log_handler())
    durations = emitter.histogram("agents.inference.duration", "s")
    for i in range(2000):
        durations.record(i / 1000, operation=f"op{i % 7}")
    with emitter.span("invoke_agent planner", kind="server") as outer, emitter.span("execute_tool search"):
        logger.warning("slow")
    assert emitter.flush(30)
    stats = emitter.stats()
    assert (stats.emitted, stats.delivered, stats.dropped, stats.errors) == (2003, 2003, 0, {})
    agent = emitter._agent_id
    metrics = read(kafka.bootstrap, topics.METRICS, agent)
    samples = [sample for body in metrics for sample in samples_of(body)]
    assert [value for _, _, value in samples] == [i / 1000 for i in range(2000)]
    assert [labels["operation"] for _, labels, _ in samples] == [f"op{i % 7}" for i in range(2000)]
    assert [body["seq"] for body in metrics] == list(range(len(metrics)))
    assert {body["key"] for body in metrics} == {agent.encode()}
    (spans,) = read(kafka.bootstrap, topics.SPANS, agent)
    assert spans["key"].decode() == outer.context.trace_id
    assert [span["name"] for span in spans["spans"]] == ["execute_tool search", "invoke_agent planner"]
    (logs,) = read(kafka.bootstrap, topics.LOGS, agent)
    assert logs["logs"][0]["traceId"] == outer.context.trace_id


SHORT = """
import sys
from agents_emitter import Emitter
emitter = Emitter(sys.argv[1], service_name="short", agent_id=sys.argv[2], exit_timeout_seconds=60)
emitter.counter("c").labels().add(1)
with emitter.span("x"):
    pass
"""


def test_a_program_of_a_moment_delivers_at_its_end(kafka: Any, unique_name: Any) -> None:
    """It ends before aiokafka is even loaded."""
    make_topics(kafka.bootstrap)
    agent = unique_name("short")
    host = kafka.bootstrap.replace("127.0.0.1", "localhost")
    done = subprocess.run([sys.executable, "-c", SHORT, host, agent], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    metrics = read(kafka.bootstrap, topics.METRICS, agent)
    assert ("c", {}, 1.0) in [sample for body in metrics for sample in samples_of(body)]
    assert len(read(kafka.bootstrap, topics.SPANS, agent)) == 1


FORKS = """
import json, os, sys
from agents_emitter import Emitter
emitter = Emitter(sys.argv[1], service_name="forks", agent_id=sys.argv[2], process_interval_seconds=0)
counter = emitter.counter("c")
counter.add(1, who="parent")
assert emitter.flush(60)
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        counter.add(10, who=f"child{n}")
        os._exit(0 if emitter.close(60) else 1)
    children.append(pid)
    counter.add(1, who="parent")
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
assert emitter.close(60)
stats = emitter.stats().samples
print(json.dumps([stats.emitted, stats.delivered, emitter.stats().connects]))
"""


def test_forked_workers_and_their_parent_each_deliver_their_own(kafka: Any, unique_name: Any) -> None:
    make_topics(kafka.bootstrap)
    agent = unique_name("forks")
    done = subprocess.run(
        [sys.executable, "-c", FORKS, kafka.bootstrap, agent], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [4, 4, 1], "the parent kept its connection"
    bodies = read(kafka.bootstrap, topics.METRICS, agent)
    sums: dict[str, float] = {}
    for body in bodies:
        for _, labels, value in samples_of(body):
            sums[labels["who"]] = sums.get(labels["who"], 0) + value
    assert sums == {"parent": 4, "child0": 10, "child1": 10, "child2": 10}
    assert len({body["producer"] for body in bodies}) == 4


class Agent(threading.Thread):
    """Emits all the time and measures each call."""

    def __init__(self, emitter: Emitter, stop: threading.Event) -> None:
        super().__init__()
        self.emitter = emitter
        self.stopping = stop
        self.calls_ns: list[int] = []

    def run(self) -> None:
        counters = [self.emitter.counter("agents.steps").labels(n=n) for n in range(20)]
        clock = time.perf_counter_ns
        while not self.stopping.is_set():
            for counter in counters:
                start = clock()
                counter.add(1)
                self.calls_ns.append(clock() - start)
            self.stopping.wait(0.002)


def percentile_us(calls_ns: list[int], share: float) -> float:
    return sorted(calls_ns)[int(len(calls_ns) * share)] / 1000


@pytest.mark.faults
@pytest.mark.parametrize(("fault", "least_seconds"), [("pause", 20), ("kill", 0)])
def test_the_broker_goes_away_while_an_agent_emits(
    private_kafka: KafkaService, fault: str, least_seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    private_kafka.start()
    make_topics(private_kafka.bootstrap)
    emitter = Emitter(
        private_kafka.bootstrap,
        service_name="outage",
        agent_id="agent-1",
        process_interval_seconds=0,
        delivery_timeout_seconds=3.0,
        connect_timeout_seconds=3.0,
        backoff_limit_seconds=1.0,
        spool_batches=20,
    )
    stop = threading.Event()
    agent = Agent(emitter, stop)
    agent.start()
    eventually(lambda: emitter.stats().samples.delivered > 0)
    getattr(private_kafka, fault)()
    began = time.monotonic()
    # long enough that aiokafka gives batches up, that a new connection fails, and that the spool overflows
    eventually_within(120, lambda: outage_was_felt(emitter) and time.monotonic() - began > least_seconds)
    outage_seconds = time.monotonic() - began
    during = emitter.stats()
    calls_down = list(agent.calls_ns)
    private_kafka.resume() if fault == "pause" else private_kafka.restart()
    delivered = emitter.stats().samples.delivered
    eventually_within(120, lambda: emitter.stats().samples.delivered > delivered + 1000)
    stop.set()
    agent.join()
    assert emitter.close(60)
    stats = emitter.stats()
    with capsys.disabled():
        print(
            f"\n{fault} for {outage_seconds:.0f} s: {len(calls_down)} calls until its end, "
            f"p50 {percentile_us(calls_down, 0.5):.1f} us, p99 {percentile_us(calls_down, 0.99):.1f} us, "
            f"spool {during.samples.spooled_batches} batches, {during.samples.spooled_bytes} bytes; "
            f"dropped {stats.samples.dropped}, connects {stats.connects}, errors {dict(stats.errors)}"
        )
    assert agree(emitter)
    assert stats.samples.emitted == len(agent.calls_ns)
    assert stats.samples.buffered == 0
    assert set(stats.samples.dropped_by_reason) == {"spool"}
    assert during.samples.spooled_batches <= 20
    bodies = read(private_kafka.bootstrap, topics.METRICS, "agent-1")
    unique = once(bodies)
    assert sum(body["count"] for body in unique) == stats.samples.delivered
    assert sum(value for body in unique for _, _, value in samples_of(body)) == stats.samples.delivered
    assert max(body["dropped_total"] for body in unique) == stats.samples.dropped
    by_seq: dict[int, set[str]] = {}
    for body in bodies:
        by_seq.setdefault(body["seq"], set()).add(body["value"] + str(body["dropped_total"]))
    assert all(len(contents) == 1 for contents in by_seq.values()), "a repeat has the same bytes"


def outage_was_felt(emitter: Emitter) -> bool:
    stats = emitter.stats()
    return stats.samples.dropped_by_reason.get("spool", 0) > 5000 and sum(stats.errors.values()) >= 3


def eventually_within(seconds: float, condition: Any) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


def test_an_agent_may_start_before_its_broker(tmp_path: Path, private_kafka: KafkaService) -> None:
    bootstrap = private_kafka.bootstrap
    private_kafka.stop()
    with Emitter(
        bootstrap, service_name="early", agent_id="early", process_interval_seconds=0, backoff_limit_seconds=0.5
    ) as emitter:
        emitter.counter("c").add(3)
        eventually(lambda: emitter.stats().errors.get("KafkaConnectionError", 0) >= 2)
        private_kafka.start()
        make_topics(bootstrap)
        assert emitter.flush(120)
        (body,) = once(read(bootstrap, topics.METRICS, "early"))
        assert samples_of(body) == [("c", {}, 3.0)]
