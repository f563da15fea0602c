"""The watchdog's question: how long has there been work that nobody did?"""

from __future__ import annotations

from typing import Any

import pytest
from faust.types import TP

from streams import topics
from streams.app.runtime import Runtime
from streams.publish.health import unobserved
from streams.publish.progress import Progress
from streams.settings import Settings

SECOND = 10**9
PARTITION = TP(topics.SPANS, 0)


class Consumer:
    """What the runtime asks of the consumer: how far the log and the reading are."""

    def __init__(self) -> None:
        self.end, self.delivered = 0, {PARTITION: -1}
        self.assigned = True

    def highwater(self, _: TP) -> int:
        assert self.assigned, "as aiokafka has it"
        return self.end


class App:
    def __init__(self) -> None:
        self.consumer = Consumer()


def _runtime() -> tuple[Runtime, Consumer, list[float]]:
    now = [0.0]
    app = App()
    runtime = Runtime(
        app, "traces", (topics.SPANS,), _never, _never, Settings(), unobserved(), monotonic=lambda: now[0]
    )
    runtime.ready = True
    runtime.parts[PARTITION] = object()  # type: ignore[assignment] - only its being there counts
    return runtime, app.consumer, now


def _never(*_: Any) -> Any:
    raise AssertionError


def test_a_record_after_a_quiet_hour_has_not_waited_for_an_hour() -> None:
    runtime, consumer, now = _runtime()
    for now[0] in (0.0, 1_800.0, 3_600.0):
        assert runtime.stalled_seconds() == 0.0
    consumer.end = 5
    now[0] += 0.5
    assert runtime.stalled_seconds() == 0.5


def test_what_lay_in_the_log_at_the_restore_is_applied_even_where_more_has_come_since() -> None:
    runtime, consumer, _ = _runtime()
    runtime._ends, runtime._next, consumer.end = {PARTITION: 5}, {PARTITION: 2}, 9
    assert not runtime.replayed()
    runtime._next[PARTITION] = 5
    assert runtime.lag(PARTITION) > 0
    assert runtime.replayed()
    runtime.ready = False
    assert not runtime.replayed()


class Part:
    """Says nothing of itself."""

    def progress(self, lag: int, now_ns: int) -> Progress:
        return Progress(PARTITION.topic, PARTITION.partition, {}, lag=None if lag < 0 else lag)


@pytest.mark.parametrize(
    ("applied_seconds", "level_seconds", "now_seconds", "waited"),
    [(None, None, 50, None), (40, None, 50, 10.0), (None, 45, 50, 5.0), (40, 45, 50, 5.0), (60, None, 50, 0.0)],
)
def test_how_long_a_record_has_waited_at_most(
    applied_seconds: int | None, level_seconds: int | None, now_seconds: int, waited: float | None
) -> None:
    """Since the last one that was applied was appended, or since nothing waited, whichever was later."""
    runtime, consumer, _ = _runtime()
    runtime.parts[PARTITION] = Part()  # type: ignore[assignment] - only what it says of itself is asked
    if applied_seconds is not None:
        runtime._level_ns[PARTITION] = applied_seconds * SECOND
    if level_seconds is not None:
        (level,) = runtime.progress(level_seconds * SECOND)
        assert (level.lag, level.lag_seconds) == (0, 0.0)
    consumer.end = 5
    (found,) = runtime.progress(now_seconds * SECOND)
    assert (found.lag, found.lag_seconds) == (5, waited)
    consumer.assigned = False
    (found,) = runtime.progress(now_seconds * SECOND)
    assert (found.lag, found.lag_seconds) == (None, None)


def test_work_that_nobody_does_is_a_stall_that_grows() -> None:
    runtime, consumer, now = _runtime()
    assert runtime.stalled_seconds() == 0.0
    consumer.end = 5
    for now[0] in (10.0, 31.0):
        assert runtime.stalled_seconds() == now[0]


def test_a_role_that_does_not_become_ready_stalls() -> None:
    runtime, _, now = _runtime()
    runtime.ready = False
    now[0] = 31.0
    assert runtime.stalled_seconds() == 31.0


def test_a_group_that_takes_a_partition_away_and_gives_nothing_back_is_a_stall_and_no_crash() -> None:
    runtime, consumer, now = _runtime()
    assert runtime.stalled_seconds() == 0.0
    consumer.assigned = False
    assert runtime.lag(PARTITION) == -1
    now[0] = 31.0
    assert runtime.stalled_seconds() == 31.0
