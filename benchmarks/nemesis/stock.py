"""The baseline: a stock Faust app that counts events per series and second in a Table, as its documentation does it.

``python -m benchmarks.nemesis.stock [--die-after SECONDS]`` is one worker of it (``at_least_once``, the default;
brokers and session from the same settings as ours). What it counted is read from the table's changelog topic.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.nemesis import checker, reading
from benchmarks.nemesis.arena import PARTITIONS, Arena, Subject, wait
from benchmarks.nemesis.checker import Verdict
from benchmarks.nemesis.crash import die, later
from benchmarks.nemesis.slots import Slot
from benchmarks.nemesis.source import SECOND_NS
from benchmarks.nemesis.truth import LogRecord, Pane, Tally, Truth, samples, truth
from streams import settings as configuration
from streams import topics

APP: Final = "stock"
TABLE: Final = "counts"
_SETTLED_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 180.0
_WARM_SECONDS: Final = 12.0
_NEVER_LATE_NS: Final = 10**18


def make_app() -> Any:
    """The app; nothing in it is tuned but the session, which is that of our workers."""
    import faust

    settings = configuration.load()
    app = faust.App(
        APP,
        broker=f"kafka://{settings.brokers}",
        store="memory://",
        topic_partitions=PARTITIONS,
        datadir=str(settings.work_folder / "stock"),
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
    )
    counts = app.Table(TABLE, default=int, partitions=PARTITIONS)

    async def count(stream: Any) -> None:
        async for value in stream:
            body = json.loads(value)
            if "producer" in body:
                for lane, time_ns, _ in samples(body):
                    counts[f"{lane}|{time_ns // SECOND_NS}"] += 1

    source = app.topic(topics.METRICS, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    app.agent(source)(count)
    return app


def command(point: str) -> list[str]:
    """A worker; for a crash point of ours one that dies some seconds after its start (2 to 8, by the point)."""
    death = ["--die-after", f"{2 + sum(point.encode()) % 60 / 10:.1f}"] if point else []
    return [sys.executable, "-m", "benchmarks.nemesis.stock", *death]


def subject(folder: Path) -> Subject:
    """Its workers; they have no page to ask, so they count as ready after a while."""
    return Subject("stock Faust Table", command, _warm, {"work_folder": folder})


def _warm(slot: Slot) -> bool:
    return slot.seconds > _WARM_SECONDS


def lag(arena: Arena) -> int:
    """Records that wait, as Kafka's own tool says; -1 where no commit is known."""
    rows = [row for row in arena.broker.consumer_groups(APP) if row.topic == topics.METRICS]
    return sum(row.lag or 0 for row in rows) if len(rows) == PARTITIONS else -1


def examine(arena: Arena) -> tuple[list[Verdict], Truth]:
    """Counts of the changelog against those of the log: every record once, nothing is late, nothing sent twice."""
    bootstrap = arena.broker.bootstrap
    found: dict[Pane, Tally] = {}
    for record in reading.read(bootstrap, f"{APP}-{TABLE}-changelog"):
        lane, _, second = json.loads(record.key or b"").partition("|")
        partition = int(lane.split("-")[1]) % PARTITIONS
        pane = Pane(partition, SECOND_NS, int(second) * SECOND_NS, lane)
        found[pane] = Tally(int(json.loads(record.value or b"0")), 0.0, 0.0, 0.0)
    log = [
        LogRecord(r.partition, r.offset, r.append_ms * 1_000_000, r.value or b"")
        for r in reading.read(bootstrap, topics.METRICS)
    ]
    made = truth(log, sizes_ns=[SECOND_NS], lateness_ns=_NEVER_LATE_NS, once=False)
    expected = {pane: Tally(len(values), 0.0, 0.0, 0.0) for pane, values in made.values.items()}
    return [checker.check_windows("counts 1 s", expected, found)], made


def settle(arena: Arena) -> tuple[list[Verdict], Truth]:
    """Waits until its figures are right, or have not changed for a while."""
    last: list[tuple[float, list[Verdict], Truth]] = []

    def settled() -> bool:
        verdicts, made = examine(arena)
        faults = [(v.lost, v.doubled) for v in verdicts]
        if not last or faults != [(v.lost, v.doubled) for v in last[0][1]]:
            last[:] = [(time.monotonic(), verdicts, made)]
        return not any(v.lost or v.doubled for v in verdicts) or time.monotonic() - last[0][0] > _SETTLED_SECONDS

    try:
        wait(settled, _SETTLE_SECONDS, "the figures have settled")
    except TimeoutError:
        arena.history.note("its figures still change")
    return last[0][1:]


def main(argv: list[str]) -> None:
    if argv[:1] == ["--die-after"]:
        later(float(argv[1]), die)
    sys.argv = ["stock", "worker", "--without-web", "--loglevel", "warn"]
    make_app().main()


if __name__ == "__main__":
    main(sys.argv[1:])
