"""Exemplars among metric batches. They are no events: one that cannot be read is left out, and nothing is counted."""

from __future__ import annotations

import re
from typing import Any, Final

from streams.decode import labels
from streams.decode.reasons import Refused
from streams.domain.exemplar import Exemplar

_TRACE: Final = re.compile("[0-9a-f]{32}")
_SPAN: Final = re.compile("[0-9a-f]{16}")
LARGEST: Final = 1_000
"""Exemplars of a record that are read."""


def read_exemplars(body: dict[str, Any]) -> list[Exemplar]:
    """The exemplars of one record of schema ``agents.exemplars/1`` that can be used."""
    resource, rows = body.get("resource"), body.get("exemplars")
    if not isinstance(resource, dict) or not isinstance(rows, list):
        return []
    of_resource = labels.of_resource(resource)
    found = [_read(row, of_resource) for row in rows[:LARGEST]]
    return [one for one in found if one is not None]


def _read(row: object, resource: labels.Labels) -> Exemplar | None:
    try:
        assert isinstance(row, dict)
        series = labels.series(row["name"], row["unit"], "histogram", labels.clean(row["labels"].items(), resource))
        value, time_ns = float(row["value"]), int(row["time_unix_nano"])
        trace_id, span_id = row["trace_id"], row["span_id"]
        if value - value != 0 or not _TRACE.fullmatch(trace_id) or not _SPAN.fullmatch(span_id):
            return None
    except (AssertionError, AttributeError, KeyError, OverflowError, Refused, TypeError, ValueError):
        return None
    return Exemplar(series, value, time_ns, trace_id, span_id)
