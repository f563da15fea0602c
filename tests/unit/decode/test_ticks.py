"""Ticks: time, and whose."""

from __future__ import annotations

from typing import Any

import pytest

from streams.decode.reasons import Refused
from streams.decode.ticks import MAX_SOURCE, tick
from streams.domain.columns import Tick


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"time_unix_nano": 7}, Tick(3, 7)),
        ({"time_unix_nano": "7"}, Tick(3, 7)),
        ({"time_unix_nano": 7, "source": "t/1"}, Tick(3, 7, "t/1")),
        ({"time_unix_nano": 7, "source": "t/1", "idle": True}, Tick(3, 7, "t/1", idle=True)),
        ({"time_unix_nano": 7, "source": "t/1", "idle": 1}, Tick(3, 7, "t/1")),
    ],
)
def test_a_tick_says_its_time_and_its_source(body: dict[str, Any], found: Tick) -> None:
    assert tick(3, body) == found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "bad_time"),
        ({"time_unix_nano": -1}, "bad_time"),
        ({"time_unix_nano": 7, "source": 4}, "bad_type"),
        ({"time_unix_nano": 7, "source": "x" * (MAX_SOURCE + 1)}, "bad_type"),
    ],
)
def test_what_is_no_tick_is_refused(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        tick(0, body)
    assert refused.value.reason == reason
