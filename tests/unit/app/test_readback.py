"""Which of the published windows a restored partition takes, and as what."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import ConsumerRecord

from streams import topics
from streams.app import readback
from streams.app.readback import ReadBack
from streams.domain.series import Series
from streams.domain.window import MAX_SERIES_PER_RECORD, encode_window_batch, split
from tests.unit.window_batches import WINDOW, batch, series

OWN = ("agents.metrics", 0)
MANY = [series("agents.steps", "counter", agent__id=f"a{i}") for i in range(MAX_SERIES_PER_RECORD + 5)]


def records(number: int, rows: list[Series], *, first: int = 0, **changes: Any) -> list[ConsumerRecord]:
    """A window (of ten seconds) as it lies in ``agents.windows``."""
    window = batch(number, {one: [1.0] for one in rows}, **changes)
    return [
        ConsumerRecord(topics.WINDOWS, 0, first + i, 0, 0, part.key, encode_window_batch(part), 0, 0, 0, ())
        for i, part in enumerate(split(window))
    ]


def reading(rows: list[Series], *, offset: int = 0, closed: int = 100) -> ReadBack:
    window = batch(closed, {rows[0]: [1.0]})
    assert (window.topic, window.partition) == OWN
    return ReadBack(OWN, window.end_ns - window.start_ns, offset, window.start_ns, rows)


def test_a_window_is_found_with_the_first_of_its_records_and_with_the_series_of_the_checkpoint() -> None:
    back = reading(MANY)
    first, second = records(3, MANY, first=7)
    assert back.take(first) is None
    found = back.take(second)
    assert found is not None
    assert found.offset == 7
    ours = {one.id: one for one in MANY}
    assert all(one is ours[one.id] for one in found.window.series)


def test_what_is_not_covered_is_not_taken() -> None:
    back = reading(MANY[:2], offset=5, closed=10)
    assert back.take(records(9, MANY[:2], first=4)[0]) is None, "it lies before the begin"
    assert back.take(records(10, MANY[:2], first=5)[0]) is None, "the checkpoint does not have it"
    assert back.take(records(9, MANY[:2], first=5)[0]) is not None


@pytest.mark.parametrize("changes", [{"partition": 1}, {"topic": "agents.red"}, {"window_ns": 6 * WINDOW}])
def test_windows_of_others_and_of_other_sizes_are_not_even_parsed(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def parsed(*_: Any) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(readback, "decode_window_batch", parsed)
    back = reading(MANY[:2])
    with pytest.raises(AssertionError, match="parsed"):
        back.take(records(3, MANY[:2])[0])
    assert back.take(records(3, MANY[:2], **changes)[0]) is None
