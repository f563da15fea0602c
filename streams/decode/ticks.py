"""Ticks: records that carry only time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.decode import reasons
from streams.decode.numbers import time_ns
from streams.decode.reasons import Refused, show
from streams.domain.columns import Tick

MAX_SOURCE: Final = 300
"""A topic's name has at most 249 characters."""


def tick(position: int, body: Mapping[str, Any]) -> Tick:
    """A tick record's body.

    Raises:
        Refused: its time is none, or its source no short string.
    """
    source = body.get("source", "")
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        raise Refused(reasons.BAD_TYPE, f"source is {show(source)}")
    return Tick(position, time_ns(body.get("time_unix_nano"), "time_unix_nano"), source, body.get("idle") is True)
