"""Figures of the traces in the read model: how many, how many failed, how long they took, in all and by root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

MOST_TRACES: Final = 100_000
MOST_OPERATIONS: Final = 50
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Outline(NamedTuple):
    """One trace: its root, how long it took and what came of it."""

    service: str
    operation: str
    duration_ns: int
    span_count: int
    error_count: int
    complete: int


def statistics(traces: Sequence[Outline]) -> dict[str, Any]:
    """Of all traces together, and of each root operation, the most frequent first (at most 50).

    Quantiles are exact; they are None where there is no trace.
    """
    groups: defaultdict[tuple[str, str], list[Outline]] = defaultdict(list)
    for one in traces:
        groups[one.service, one.operation].append(one)
    largest = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_OPERATIONS]
    return {
        **_figures(traces),
        "spans": sum(one.span_count for one in traces),
        "incomplete": sum(not one.complete for one in traces),
        "operations": [
            {"service": service, "operation": operation, **_figures(group)} for (service, operation), group in largest
        ],
    }


def _figures(traces: Sequence[Outline]) -> dict[str, Any]:
    failed = sum(one.error_count > 0 for one in traces)
    seconds = np.array([one.duration_ns for one in traces]) / 1e9
    known = len(traces) > 0
    found = np.quantile(seconds, list(QUANTILES.values())) if known else seconds
    return {
        "traces": len(traces),
        "failed": failed,
        "error_ratio": failed / len(traces) if known else None,
        "mean_seconds": float(seconds.mean()) if known else None,
        **{f"{name}_seconds": float(found[place]) if known else None for place, name in enumerate(QUANTILES)},
    }
