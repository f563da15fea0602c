"""A reader of our own metric batches in a few lines: slow, plain, and independent of the pipeline.

Tests compare the pipeline's arithmetic with what they compute from here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import orjson

from agents_emitter import events
from agents_emitter.simulator.emission import Emission


def samples(value: bytes) -> Iterator[tuple[dict[str, Any], dict[str, Any], int, float]]:
    """Every sample of a metric batch, packed or plain: (resource, series as declared, time in ns, value).

    Raises:
        ValueError: not a metric batch.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != events.METRIC_SCHEMA:
        raise ValueError(f"not a metric batch: schema {body.get('schema')!r}")
    base = body["base_time_unix_nano"]
    index, offsets, values = (
        _column(body[name], code) for name, code in (("index", "H"), ("offset_ns", "q"), ("value", "d"))
    )
    for place, offset, number in zip(index, offsets, values, strict=True):
        yield body["resource"], body["series"][place], base + offset, number


def _column(column: str | list[Any], code: str) -> list[Any]:
    if isinstance(column, list):
        return column
    raw = base64.b64decode(column)
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw))


def explain(emission: Emission) -> list[tuple[dict[str, Any], int, float]]:
    """(series definition, time in ns, value) of each sample of a metric emission.

    Raises:
        ValueError: an emission that holds no metrics.
    """
    return [(series, time_ns, value) for _, series, time_ns, value in samples(emission.value)]
