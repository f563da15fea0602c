"""Announced spans: ended in time, ended late, never ended; the bound; the checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.domain.spanrows import SPAN, SpanTables
from streams.trace.hung import Announced, HungWatch

SECOND = 1_000_000_000
START, END = 1, 0


class Log:
    """Rows of one record each."""

    def __init__(self) -> None:
        self.tables = SpanTables()
        self.resource = self.tables.resources.number({"service.name": "planner", "deployment.environment.name": "prod"})
        self.name = self.tables.texts.number("invoke_workflow trip 12345")

    def rows(self, *spans: tuple[int, int]) -> NDArray[Any]:
        rows = np.zeros(len(spans), SPAN)
        for i, (span_id, phase) in enumerate(spans):
            rows[i]["span"], rows[i]["phase"], rows[i]["record"] = span_id, phase, i
            rows[i]["resource"], rows[i]["name"], rows[i]["start_ns"] = self.resource, self.name, 5
        return rows

    def take(self, watch: HungWatch, at_seconds: float, *spans: tuple[int, int]) -> list[Announced]:
        now_ns = round(at_seconds * SECOND)
        return watch.take(self.rows(*spans), self.tables, np.full(len(spans), now_ns), now_ns)


@pytest.mark.parametrize(
    ("steps", "hung"),
    [
        ([(0, (7, START)), (59.9,)], []),
        ([(0, (7, START)), (60,)], [7]),
        ([(0, (7, START)), (30, (7, END)), (90,)], []),
        ([(0, (7, START), (7, END)), (90,)], []),
        ([(0, (7, START)), (60,), (70, (7, END)), (200,)], [7]),  # told once; a late end changes nothing
        ([(0, (7, START)), (30, (7, START)), (60,)], [7]),  # a copy of the announcement is no new patience
        ([(0, (8, START)), (1, (7, START)), (70,)], [8, 7]),
        ([(0, (7, END)), (90,)], []),
    ],
)
def test_what_does_not_end_is_told_once(steps: list[tuple[Any, ...]], hung: list[int]) -> None:
    log, watch = Log(), HungWatch(60 * SECOND)
    assert [known.span_id for at, *spans in steps for known in log.take(watch, at, *spans)] == hung


def test_it_says_who_and_what() -> None:
    log, watch = Log(), HungWatch(60 * SECOND)
    log.take(watch, 1, (7, START))
    assert watch.next_ns() == 61 * SECOND
    (known,) = log.take(watch, 61)
    assert known == (7, "planner", "prod", "invoke_workflow trip {id}", 5, 61 * SECOND)
    assert watch.next_ns() is None


def test_at_the_bound_the_one_that_waits_longest_is_no_longer_watched() -> None:
    log, watch = Log(), HungWatch(60 * SECOND, limit=2)
    log.take(watch, 0, (1, START), (2, START), (3, START))
    assert [known.span_id for known in log.take(watch, 60)] == [2, 3]
    assert watch.unwatched == 1


def test_a_checkpoint_goes_on() -> None:
    log, watch, again = Log(), HungWatch(60 * SECOND), HungWatch(60 * SECOND)
    log.take(watch, 0, (1, START), (2, START))
    again.restore(watch.state())
    assert log.take(again, 60, (2, END)) == log.take(watch, 60, (2, END)) != []
