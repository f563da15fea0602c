"""One agent invents a million values of a label: it gets what it may, others notice nothing, memory stays."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_emitter import events
from agents_emitter.events import SeriesDefinition
from streams import topics
from streams.domain.window import decode_window_batch
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline

pytestmark = pytest.mark.timeout(480)
SECOND = 1_000_000_000
VALUES = 1_000_000
A_BATCH = 2_000
BUDGET = 5_000
OTHERS = 5
NAME = "agents.requests"


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    limits = {
        "series_limit_per_agent": BUDGET,
        "series_limit": 20_000,
        "idle_seconds": 3600.0,  # however long a slow machine takes between two records, time does not overtake them
    }
    with open_pipeline(tmp_path, cache_folder, partitions=1, **limits) as made:
        yield made


def batch(agent: str, seq: int, at_ns: int, rows: list[SeriesDefinition]) -> Sent:
    head = events.encode_metric_head({"service.name": "shop", "gen_ai.agent.id": agent}, rows, agent)
    body = events.encode_metric_batch(
        head,
        seq=seq,
        dropped_total=0,
        base_time_unix_nano=at_ns,
        index=range(len(rows)),
        offset_ns=[0] * len(rows),
        value=[1.0] * len(rows),
    )
    return Sent(topics.METRICS, agent.encode(), body)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def attack(number: int, at_ns: int) -> Sent:
    first = number * A_BATCH
    rows = [SeriesDefinition(NAME, "1", "counter", (("user", f"u{first + n}"),)) for n in range(A_BATCH)]
    return batch("attacker", number, at_ns, rows)


def quiet(agent: int, number: int, at_ns: int) -> Sent:
    rows = [SeriesDefinition(NAME, "1", "counter", (("user", f"known{n}"),)) for n in range(10)]
    return batch(f"quiet-{agent}", number, at_ns, rows)


def test_an_agent_with_a_million_label_values_takes_no_room_from_others(pipeline: Pipeline) -> None:
    now_ns = time.time_ns() - 90 * SECOND
    start_ns = now_ns - now_ns % (10 * SECOND)
    batches = VALUES // A_BATCH
    worker = pipeline.worker("metrics").up()
    rss_bytes = []
    for number in range(batches):
        at_ns = start_ns + number * 60 * SECOND // batches
        sent = [attack(number, at_ns)]
        if number % 5 == 0:  # half of the others come when the attack has long begun
            sent += [quiet(agent, number, at_ns) for agent in range(OTHERS) if agent % 2 == 0 or number > batches // 2]
        pipeline.produce(sent)
        if number in (batches // 2, batches - 1):  # what is remembered of heads is full by then, or nearly
            eventually(
                lambda: worker.total("streams_consumer_lag_records", topic=topics.METRICS) == 0, "it has read all"
            )
            rss_bytes.append(resident_bytes(worker.pid))
    pipeline.produce([Sent(topics.METRICS, None, events.encode_tick(time.time_ns()), 0)])  # closes all windows
    log = pipeline.read(topics.METRICS)
    quiet_sum = sum(10.0 for r in log if r.key is not None and r.key.startswith(b"quiet"))
    seen: dict[bytes, float] = {}

    def complete() -> bool:
        seen.clear()
        for key, value in pipeline.windows().items():
            window = decode_window_batch(value)
            if window.end_ns - window.start_ns == 10 * SECOND:
                rows = zip(window.series, window.sum.tolist(), strict=True)
                seen[key] = sum(total for s, total in rows if s.label("agent.id").startswith("quiet"))
        return sum(seen.values()) == quiet_sum

    eventually(complete, "the windows of all others, each with its own labels")
    truth = pipeline.truth(pipeline.read(topics.METRICS)).windows
    found = pipeline.windows()
    assert {key: found[key] for key in truth if key in found} == {key: truth[key] for key in truth if key in found}
    fates = worker.fates()[topics.METRICS, 0]
    overflow, aggregated = fates["overflow"], fates["aggregated"]
    print(f"\n{overflow} overflow, {aggregated} aggregated, {worker.total('streams_series')} series, rss {rss_bytes}")
    assert (overflow, aggregated) == (VALUES - BUDGET, BUDGET + round(quiet_sum))
    assert worker.total("streams_series") == BUDGET + 10 * OTHERS + 1  # and the overflow series
    assert rss_bytes[1] - rss_bytes[0] < 100 * 1_048_576
    assert worker.terminate() == 0
