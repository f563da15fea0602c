"""What the peers are compared with and how."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks import data
from benchmarks.peers import standings
from benchmarks.peers.standings import OURS, claims, ratios
from benchmarks.peers.task import SIZE_NS, Task, parse
from benchmarks.peers.windows import Aggregate, Sample, brute_force, difference, samples

SERIES = "a|m|op"


def test_windows_by_brute_force() -> None:
    events = [Sample(SERIES, 0, 1.0), Sample(SERIES, SIZE_NS - 1, 3.0), Sample(SERIES, SIZE_NS, 5.0)]
    assert brute_force(events) == {
        (SERIES, 0): Aggregate(2, 4.0, 1.0, 3.0),
        (SERIES, SIZE_NS): Aggregate(1, 5.0, 5.0, 5.0),
    }


RIGHT = {(SERIES, 0): Aggregate(2, 4.0, 1.0, 3.0)}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (RIGHT, ""),
        ({(SERIES, 0): Aggregate(2, 4.0 + 1e-12, 1.0, 3.0)}, ""),
        ({}, "1 of 1 missing"),
        ({(SERIES, 0): Aggregate(3, 4.0, 1.0, 3.0)}, "1 wrong"),
        ({(SERIES, 0): Aggregate(2, 4.1, 1.0, 3.0)}, "1 wrong"),
        ({**RIGHT, (SERIES, 1): Aggregate(1, 1.0, 1.0, 1.0)}, "1 that do not exist"),
    ],
)
def test_every_kind_of_difference_is_named(found: dict[Any, Aggregate], said: str) -> None:
    assert said in difference(RIGHT, found)
    assert bool(said) == bool(difference(RIGHT, found))


def test_batches_and_single_events_are_read_as_the_same_samples() -> None:
    (batch, *_) = data.batches(10, samples=10, agents=1)
    found = list(samples(batch.value))
    assert len(found) == batch.events == 10
    assert len({s.series for s in found}) == 10
    assert all(math.isfinite(s.value) for s in found)
    (one,) = samples(next(iter(data.singles(1))).value)
    assert one.series.startswith("agent-0|agents.bench.m0|")


def rows(**rates: float) -> list[dict[str, Any]]:
    kinds = {"ours": (OURS.name, "single"), "batch": (OURS.name, "batch")}
    return [
        {"name": kinds.get(k, (k.replace("_", " "), ""))[0], "input": kinds.get(k, ("", "single"))[1]}
        | ({"events_per_cpu_second": rate} if rate else {"absent": "why"})
        for k, rate in rates.items()
    ]


def test_ratios_compare_like_with_like() -> None:
    found = ratios(rows(ours=100.0, batch=1000.0, Bytewax=10.0, Quix_Streams=0))
    assert [row["ratio"] for row in found] == [1.0, 1.0, 10.0, None]
    assert [row["ratio_of_batches"] for row in found] == [10.0, None, 100.0, None]


def test_a_claim_is_held_against_the_best_variant() -> None:
    found = ratios(rows(ours=100.0, batch=1000.0, Bytewax=10.0, Bytewax_with_recovery=5.0, Quix_Streams=20.0))
    verdicts = {(c["than"], c["ratio"]): (c["measured"], c["holds"]) for c in claims(found)}
    assert verdicts["Bytewax", "ratio"] == (10.0, True)
    assert verdicts["Quix Streams", "ratio"] == (5.0, False)
    assert verdicts["Kafka Streams", "ratio"] == (None, False)
    assert "DOES NOT HOLD" in standings.claim_row(next(c for c in claims(found) if c["than"] == "Quix Streams"))


def test_a_task_survives_the_command_line() -> None:
    task = Task("b:1", "t", 4, "out", 5, 6, "/f", "v")
    assert parse(task.text()) == task
