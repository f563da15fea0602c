"""The contest beside other stream processors: the same topic, the same windows."""

from __future__ import annotations

from pathlib import Path

from agents_emitter.events import METRICS_TOPIC
from benchmarks.broker import broker
from benchmarks.peers import contest, standings


def test_we_and_the_loop_without_a_framework_come_to_the_same_windows(tmp_path: Path) -> None:
    with broker() as brokers:
        source = standings.filled(brokers, standings.ended_singles(5_000), METRICS_TOPIC, 4)
        rows = [contest.run(peer, source, brokers, tmp_path) for peer in standings.SINGLES[:2]]
    assert [row.get("absent") for row in rows] == [None, None]
    assert [(row["events"], row["equal"], row["differs"]) for row in rows] == [(6_000, True, "")] * 2
