"""Figures of traces: exact, by root, and nothing invented where there is none."""

from __future__ import annotations

import pytest

from streams.api.tracestats import MOST_OPERATIONS, Outline, statistics

MS = 1_000_000


def test_figures_of_all_and_by_root() -> None:
    traces = [Outline("shop", "buy", n * MS, 3, n > 98, 1) for n in range(1, 101)]
    traces += [Outline("shop", "look", 1_000 * MS, 2, 0, 0)]
    found = statistics(traces)
    assert (found["traces"], found["failed"], found["spans"], found["incomplete"]) == (101, 2, 302, 1)
    assert found["error_ratio"] == pytest.approx(2 / 101)
    buy, look = found["operations"]
    assert (buy["operation"], buy["traces"], buy["failed"], buy["error_ratio"]) == ("buy", 100, 2, 0.02)
    assert (buy["mean_seconds"], buy["p50_seconds"]) == (pytest.approx(0.0505), pytest.approx(0.0505))
    assert buy["p95_seconds"] == pytest.approx(0.09505)
    assert (look["traces"], look["p99_seconds"]) == (1, 1.0)


def test_without_traces_nothing_is_invented() -> None:
    found = statistics([])
    assert (found["traces"], found["operations"]) == (0, [])
    assert {found[name] for name in ("error_ratio", "mean_seconds", "p50_seconds", "p99_seconds")} == {None}


def test_operations_are_bounded() -> None:
    found = statistics([Outline("s", f"o{n:03}", n, 1, 0, 1) for n in range(MOST_OPERATIONS + 5)])
    assert (found["traces"], len(found["operations"])) == (MOST_OPERATIONS + 5, MOST_OPERATIONS)
