"""How long the stream stands still: ``python -m benchmarks.recovery --json`` prints one JSON line per case.

``kill``: kill -9 of a worker under load, restarted as its supervisor would, until an event sent after the kill has
been counted.
``restore``: a new worker restores 100,000 series; its own figure, and the whole start.
``rebalance``: a second worker joins and leaves again and again (static membership) under load; a pause is the longest
time between two advances of any partition around a join or a leave, as /metrics of both workers show it.
``sigterm``: SIGTERM under load; exit code, seconds, and whether the next worker counts or publishes anything twice.

A partition's count is taken over by its next owner and goes on from the checkpoint, so it passes what the owner before
had counted only when the stream has really gone on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as Position

from agents_emitter import events
from benchmarks.broker import broker, fill
from benchmarks.data import SECOND_NS, sparse
from benchmarks.worker import Feed, Worker, eventually, killed
from streams import topics
from streams.app.supervisor import FIRST_PAUSE_SECONDS
from streams.settings import Settings

EVENTS_PER_SECOND: Final = 100_000
PARTITIONS: Final = 4
SERIES: Final = 100_000
PANE_NS: Final = 10 * SECOND_NS
POLL_SECONDS: Final = 0.05


def variables(brokers: str, **more: object) -> dict[str, str]:
    """The environment of a worker."""
    settings: dict[str, object] = {"brokers": brokers, "partitions": PARTITIONS, "log_level": "INFO", **more}
    return {f"STREAMS_{name.upper()}": str(value) for name, value in settings.items()}


def kill(brokers: str, folder: Path, *, times: int) -> dict[str, Any]:
    """Kill -9 again and again, each with the supervisor's first pause (those after quick deaths are longer)."""
    feed = Feed(brokers, EVENTS_PER_SECOND, "kill")
    worker = Worker(folder, variables(brokers, instance_id="bench"))
    found: list[float] = []
    with killed(worker):
        worker.up()
        feed.start()
        for _ in range(times):
            settle(feed, worker)
            time.sleep(3.0)  # between the checkpoints of 10 s windows
            begin, sent = time.monotonic(), feed.sent.events
            worker.kill()
            time.sleep(FIRST_PAUSE_SECONDS)
            worker.start()
            eventually(lambda sent=sent: worker.counted().total() > sent, "processing again")
            found.append(time.monotonic() - begin)
        feed.finish()
    return {
        "case": "kill",
        "times": times,
        "processing_again_seconds": [round(s, 2) for s in found],
        "worst_seconds": round(max(found), 2),
        "target_seconds": 10,
    }


def settle(feed: Feed, worker: Worker) -> None:
    """Waits until the worker has caught up with the feed, but for a second's events."""
    eventually(lambda: feed.sent.events - worker.counted().total() < EVENTS_PER_SECOND, "caught up")


def restore(brokers: str, folder: Path, *, series: int) -> dict[str, Any]:
    """A worker leaves its state behind, the next takes it up."""
    start_ns = time.time_ns() // PANE_NS * PANE_NS - 3 * PANE_NS
    total = fill(Settings(brokers=brokers, partitions=PARTITIONS), sparse(series, 3, per_pane=1, start_ns=start_ns))
    first, second = (Worker(folder, variables(brokers, series_limit=1_000_000)) for _ in range(2))
    with killed(first, second):
        first.up()
        eventually(lambda: first.counted().total() >= total, "all events counted", 300)
        eventually(lambda: first.total("streams_windows_closed_total") >= 2 * series, "two panes closed", 300)
        code, _ = first.terminate()
        start = second.up()
        restored = second.total("streams_restore_seconds")
        shown = second.total("streams_series", topic=events.METRICS_TOPIC)
    return {
        "case": "restore",
        "series": series,
        "series_restored": int(shown),
        "restore_seconds": round(restored, 2),
        "start_to_ready_seconds": round(start, 2),
        "first_exit_code": code,
        "target_seconds": 3,
    }


class Watch:
    """Looks at the counts of workers and notes how long each partition stood still."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._counts: Counter[int] = Counter()
        self._moved = dict.fromkeys(range(PARTITIONS), time.monotonic())
        self.longest = 0.0

    def begin(self) -> None:
        """A new pause may be noted from now on."""
        self.look()
        self.longest = 0.0

    def look(self) -> float:
        """Looks once; returns how long the partition that stands still the longest has done so."""
        found: Counter[int] = Counter()
        for worker in self._workers:
            if worker.running:
                for partition, count in worker.counted().items():
                    found[partition] = max(found[partition], count)
        now = time.monotonic()
        for partition, count in found.items():
            if count > self._counts[partition]:
                self.longest = max(self.longest, now - self._moved[partition])
                self._counts[partition], self._moved[partition] = count, now
        return max(now - moved for moved in self._moved.values())

    def through(self, done: Callable[[], bool], calm_seconds: float = 3.0) -> float:
        """Looks until ``done`` and for a while after; returns the longest pause."""
        until, deadline = float("inf"), time.monotonic() + 120
        while time.monotonic() < until or self.look() > 1.0:
            if time.monotonic() > deadline:
                raise TimeoutError("a partition stands still")
            self.look()
            if until == float("inf") and done():
                until = time.monotonic() + calm_seconds
            time.sleep(POLL_SECONDS)
        return self.longest


def rebalance(brokers: str, folder: Path, *, times: int) -> dict[str, Any]:
    """One worker stays, another comes and goes."""
    feed = Feed(brokers, EVENTS_PER_SECOND, "rebalance")
    first, second = (Worker(folder, variables(brokers, instance_id=name)) for name in ("one", "two"))
    joins, leaves = [], []
    with killed(first, second):
        first.up()
        feed.start()
        settle(feed, first)
        watch = Watch([first, second])
        watch.through(lambda: True)
        for _ in range(times):
            watch.begin()
            second.start()
            joins.append(watch.through(second.is_ready))
            watch.begin()
            second.terminate()
            leaves.append(watch.through(lambda: len(first.counted()) == PARTITIONS))
        feed.finish()
    pauses = sorted(joins + leaves)
    return {
        "case": "rebalance",
        "times": times,
        "join_pause_seconds": [round(s, 2) for s in joins],
        "leave_pause_seconds": [round(s, 2) for s in leaves],
        "p50_seconds": round(statistics.median(pauses), 2),
        "p95_seconds": round(pauses[min(len(pauses) - 1, int(0.95 * len(pauses)))], 2),
        "target_p95_seconds": 5,
    }


def sigterm(brokers: str, folder: Path, *, times: int) -> dict[str, Any]:
    """SIGTERM under load, and what the next worker does again."""
    feed = Feed(brokers, EVENTS_PER_SECOND, "sigterm")
    seconds, codes = [], []
    worker = Worker(folder, variables(brokers))
    feed.start()
    for _ in range(times):
        worker = Worker(folder, variables(brokers))
        with killed(worker):
            worker.up()
            settle(feed, worker)
            code, took = worker.terminate()
            codes.append(code)
            seconds.append(took)
    sent = feed.finish()
    last = Worker(folder, variables(brokers))
    with killed(last):
        last.up()
        eventually(lambda: last.counted().total() >= sent.events, "everything counted")
        fates: Counter[str] = sum((c for (t, _), c in last.fates().items() if t == events.METRICS_TOPIC), Counter())
    records = keys_of(brokers, topics.WINDOWS)
    return {
        "case": "sigterm",
        "times": times,
        "exit_codes": codes,
        "exit_seconds": [round(s, 2) for s in seconds],
        "worst_seconds": round(max(seconds), 2),
        "target_seconds": 5,
        "events_sent": sent.events,
        "events_counted": fates.total(),
        "fates": dict(+fates),
        "windows_published": records.total(),
        "windows_published_again": records.total() - len(records),
    }


def keys_of(brokers: str, topic: str) -> Counter[bytes]:
    """How often each key is in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "bench", "enable.partition.eof": True, "enable.auto.commit": False}
    )
    left = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([Position(topic, p, 0) for p in left])
    found: Counter[bytes] = Counter()
    while left:
        for message in consumer.consume(1000, timeout=0.5):
            if message.error() is None:
                found[message.key() or b""] += 1
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    consumer.close()
    return found


CASES: Final[Mapping[str, Callable[[str, Path, int], dict[str, Any]]]] = {
    "sigterm": lambda brokers, folder, times: sigterm(brokers, folder, times=times),
    "restore": lambda brokers, folder, times: restore(brokers, folder, series=SERIES),
    "kill": lambda brokers, folder, times: kill(brokers, folder, times=times),
    "rebalance": lambda brokers, folder, times: rebalance(brokers, folder, times=times),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--only", choices=sorted(CASES), help="one case")
    parser.add_argument("--times", type=int, default=5, help="kills, joins and leaves, SIGTERMs")
    options = parser.parse_args()
    for case in [options.only] if options.only else CASES:
        with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder, broker() as brokers:
            fill(Settings(brokers=brokers, partitions=PARTITIONS), [])
            found = CASES[case](brokers, Path(folder), options.times)
        print(json.dumps(found) if options.json else "\n".join(f"{k:26} {v}" for k, v in found.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
