"""Two workers share the partitions; one stops, then one dies: the other takes over and no event is lost or doubled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_emitter.simulator import simulate
from streams import topics
from tests.pipeline import Pipeline, Sent, Worker, eventually, open_pipeline

SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 2,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "session_timeout_seconds": 6,
    "heartbeat_seconds": 1,
    "group_prefix": "pair",
}
GROUP = "pair-metrics"
PARTITIONS = 4

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path, cache_folder, partitions=PARTITIONS, **SETTINGS) as pipeline:
        yield pipeline


def owners(pipeline: Pipeline) -> Counter[str]:
    """Partitions of agents.metrics by member, as Kafka's own tool sees it."""
    rows = pipeline.broker.consumer_groups(GROUP)
    return Counter(row.member for row in rows if row.topic == topics.METRICS and row.member)


def split_over(pipeline: Pipeline, members: int) -> bool:
    found = owners(pipeline)
    return len(found) == members and found.total() == PARTITIONS


def burst(pipeline: Pipeline, seed: int) -> int:
    """Ten seconds' worth of live events at once, from agents on all partitions; how many."""
    emissions = list(
        simulate(
            "burst_free", seed=seed, start_ns=time.time_ns() - 10**9, duration_seconds=1, agents=24, batch_seconds=0.1
        )
    )
    pipeline.produce([Sent(e.topic, e.key, e.value) for e in emissions])
    return sum(e.events for e in emissions)


def counted(workers: list[Worker]) -> int:
    """Events in the counts of the workers, each partition as its last owner saw it."""
    by_partition: dict[int, int] = {}
    for worker in workers:
        for (topic, partition), counts in worker.fates().items():
            if topic == topics.METRICS:
                by_partition[partition] = max(by_partition.get(partition, 0), counts.total())
    return sum(by_partition.values())


def test_partitions_move_and_sums_agree(pipeline: Pipeline) -> None:
    first, second = pipeline.worker("metrics"), pipeline.worker("metrics")
    first.start()
    second.start()
    first.wait_up()
    second.wait_up()
    eventually(lambda: split_over(pipeline, 2), "partitions split over two workers")
    print(f"\nsplit: {sorted(owners(pipeline).values())}")
    sent = burst(pipeline, 1)
    eventually(lambda: counted([first, second]) == sent, "the first burst")

    assert second.terminate() == 0
    sent += burst(pipeline, 2)
    eventually(lambda: split_over(pipeline, 1), "partitions at the worker that is left")
    eventually(lambda: counted([first]) == sent, "the second burst, at one worker")

    third = pipeline.worker("metrics").up()
    eventually(lambda: split_over(pipeline, 2), "partitions split again")
    sent += burst(pipeline, 3)
    eventually(lambda: counted([first, third]) == sent, "the third burst")
    third.kill()
    sent += burst(pipeline, 4)
    eventually(lambda: counted([first]) == sent, "the fourth burst, after the session of the dead worker")
    assert split_over(pipeline, 1)

    eventually(lambda: first.total("streams_open_panes") == 0, "all panes closed")
    published = pipeline.windows()
    truth = pipeline.truth(pipeline.read(topics.METRICS))
    eventually(lambda: truth.windows.keys() <= pipeline.windows().keys(), "all windows published")
    now = pipeline.windows()
    assert {key: now[key] for key in truth.windows} == truth.windows
    assert {
        key: value for key, value in published.items() if b"agents.metrics/" in key
    }.items() <= truth.windows.items()
    fates = {source: counts for source, counts in first.fates().items() if source[0] == topics.METRICS and counts}
    assert fates == {source: counts for source, counts in truth.counts().items() if counts}
    print(f"{sent} events sent; {sum(c.total() for c in fates.values())} counted; {len(truth.windows)} window records")


def test_a_static_member_that_ends_gives_its_partitions_back_at_once(pipeline: Pipeline) -> None:
    patient = {"session_timeout_seconds": 900, "request_timeout_seconds": 1000}  # longer than any wait of this test
    first, second = (pipeline.worker("metrics", instance_id=name, **patient) for name in ("one", "two"))
    first.start()
    second.start()
    first.wait_up()
    second.wait_up()
    eventually(lambda: split_over(pipeline, 2), "partitions split over two workers")
    assert second.terminate() == 0
    eventually(lambda: split_over(pipeline, 1), "partitions at the worker that is left")
