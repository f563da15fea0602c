"""Rules held against the windows and anomalies that are still in Kafka: what would have fired. Nobody is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from streams import topics
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.domain.anomaly import Anomaly, decode_anomaly
from streams.domain.series import Series
from streams.domain.window import WindowAssembler, decode_window_batch
from streams.records.history import History
from streams.settings import Settings


async def rehearsed(settings: Settings, rules: Sequence[Rule], since_ns: int) -> tuple[Rehearsal, int]:
    """Anomalies first, by window; then the windows in the order of their partitions.

    Returns:
        What would have fired, and how many records were neither.

    Raises:
        ServiceUnavailable: no broker answers, or a topic is missing.
    """
    rehearsal = Rehearsal(rules, settings.pane_seconds)
    strange: dict[tuple[int, Series], list[Anomaly]] = defaultdict(list)
    anomalies = History(topics.ANOMALIES, decode_anomaly)
    async for past in anomalies.since(settings, since_ns):
        strange[past.body.start_ns, past.body.series].append(past.body)
    assemblers: dict[int, WindowAssembler] = defaultdict(WindowAssembler)
    windows = History(topics.WINDOWS, decode_window_batch)
    async for record, batch in windows.since(settings, since_ns):
        if batch.end_ns - batch.start_ns != round(settings.pane_seconds * 1e9):
            continue
        whole = assemblers[record.partition].add(batch)
        if whole is not None:
            found = [one for series in whole.series for one in strange.get((whole.start_ns, series), ())]
            rehearsal.apply(record.partition, whole, found)
    return rehearsal, anomalies.unreadable + windows.unreadable


def summary(rehearsal: Rehearsal, unreadable: int) -> dict[str, Any]:
    """As JSON-able data; ``began_ns``: at most the first thousand beginnings of a rule."""
    rules: dict[str, Any] = {
        name: {
            "fired": outcome.fired,
            "pending": outcome.pending,
            "resolved": outcome.resolved,
            "groups": len(outcome.groups),
            "worst": outcome.worst,
            "began_ns": outcome.began_ns,
        }
        for name, outcome in rehearsal.outcomes.items()
    }
    return {"windows": rehearsal.windows, "unreadable_records": unreadable, "rules": rules}
