"""Our pipeline under faults: how its workers run, and what is read of it for the checker."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.nemesis import checker, reading
from benchmarks.nemesis.arena import PARTITIONS, WORKERS, Arena, Subject, wait
from benchmarks.nemesis.checker import Verdict
from benchmarks.nemesis.schedule import CRASH_POINTS
from benchmarks.nemesis.slots import Slot, worker_command
from benchmarks.nemesis.source import HIGH, LEVEL, SECOND_NS
from benchmarks.nemesis.spans import span_truth
from benchmarks.nemesis.truth import LANE, LogRecord, Pane, Tally, Truth, episodes, lane_of, samples, truth
from streams import topics
from streams.app.metrics import RED_LATENESS_NS
from streams.domain.alert import decode_alert
from streams.domain.trace import TraceRecord, decode_trace
from streams.domain.window import decode_window_batch
from streams.services.webhook import WebhookReceiver

SIZES_NS: Final = (SECOND_NS, 10 * SECOND_NS)
LATENESS_NS: Final = int(str(WORKERS["lateness_seconds"])) * SECOND_NS
CALLS: Final = "traces.span.metrics.calls"
ALERT: Final = "NemesisLevelHigh"
_FOR_SECONDS, _KEEP_SECONDS = 2, 2
RULES: Final = f"""\
version: 1
rules:
  {ALERT}:
    metric: nemesis.level
    statistic: max
    window_seconds: 1
    unit: "1"
    group_by: [{LANE}]
    levels:
      - {{severity: critical, op: ">", threshold: {HIGH / 2:.0f}, clear: {HIGH / 2:.0f}, for_seconds: {_FOR_SECONDS}}}
    keep_firing_seconds: {_KEEP_SECONDS}
    summary: "{{{LANE}}} is {{value}}"
"""
LAGS: Final = (topics.METRICS, topics.SPANS, topics.RED, topics.WINDOWS)
LAG_SECONDS: Final = 60.0
"""How long after the last fault everything that waits must have been read."""
SETTLE_SECONDS: Final = 120.0


def subject(folder: Path, alertmanager_url: str = "") -> Subject:
    """Our workers, with one rule about the agents' level."""
    rules = folder / "thresholds.yml"
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_text(RULES)
    settings = {"thresholds_path": rules} | ({"alertmanager_urls": alertmanager_url} if alertmanager_url else {})
    return Subject("agent-streams", worker_command, Slot.ready, settings, tuple(CRASH_POINTS))


def partitions_without_lag(arena: Arena) -> set[tuple[str, int]]:
    """Partitions of :data:`LAGS` whose owner has read everything."""
    scraped = [s for slot in arena.slots.wanted for s in reading.scrape(slot.port)]
    names = set(LAGS)
    return {
        (s.labels["topic"], int(s.labels["partition"]))
        for s in scraped
        if s.name == "streams_consumer_lag_records" and s.labels["topic"] in names and s.value == 0
    }


def caught_up(arena: Arena) -> bool:
    """Whether nothing waits to be read, in any partition."""
    return len(partitions_without_lag(arena)) == len(LAGS) * PARTITIONS


def log_of(arena: Arena, topic: str) -> list[LogRecord]:
    """A source topic."""
    records = reading.read(arena.broker.bootstrap, topic)
    return [LogRecord(r.partition, r.offset, r.append_ms * 1_000_000, r.value or b"") for r in records]


def windows_of(contents: dict[bytes, bytes], topic: str) -> dict[Pane, Tally]:
    """Rows of published windows of one source topic."""
    found = {}
    for value in contents.values():
        batch = decode_window_batch(value)
        if batch.topic == topic:
            for row in batch.rows():
                labels = dict(row.series.labels)
                lane = lane_of(row.series.name, labels, labels.get("service.name", ""))
                pane = Pane(batch.partition, row.end_ns - row.start_ns, row.start_ns, lane)
                found[pane] = Tally(row.count, row.sum, row.minimum, row.maximum)
    return found


def check_all_windows(found: Truth, contents: dict[bytes, bytes], topic: str, word: str = "") -> list[Verdict]:
    """Windows of both sizes of one source topic against its log."""
    expected, seen = found.tallies(), windows_of(contents, topic)
    verdicts = []
    for size_ns in SIZES_NS:
        of_size = [{p: t for p, t in side.items() if p.size_ns == size_ns} for side in (expected, seen)]
        verdicts.append(checker.check_windows(f"{word}windows {size_ns // SECOND_NS} s", *of_size))
    return verdicts


def examine_spans(arena: Arena, contents: dict[bytes, bytes], metrics: list[reading.Sample]) -> list[Verdict]:
    """Traces, and the metrics of spans, against the log of spans."""
    published = reading.read(arena.broker.bootstrap, topics.TRACES)
    red = log_of(arena, topics.RED)
    sent = span_truth(log_of(arena, topics.SPANS))
    found = truth(red, sizes_ns=SIZES_NS, lateness_ns=LATENESS_NS + RED_LATENESS_NS, by_source=True)
    traces = [(t.trace_id, t.revision, r.value or b"", [s.span_id for s in t.spans]) for r, t in decoded(published)]
    totals = sum(_fates(metrics, topics.SPANS).values(), Counter[str]())
    return [
        checker.check_source(arena.source.spans, sent.batches, "span source"),
        checker.check_traces(sent.traces, traces),
        checker.check_spans(sent.spans, sent.copies, totals, _calls(red)),
        *check_all_windows(found, contents, topics.RED, "span "),
        checker.check_totals(found.fates, _fates(metrics, topics.RED), "span totals"),
    ]


def decoded(records: list[reading.Record]) -> list[tuple[reading.Record, TraceRecord]]:
    """Records of ``agents.traces`` with what they say."""
    return [(record, decode_trace(record.value or b"")) for record in records]


def _calls(red: list[LogRecord]) -> float:
    """The calls of all batches, each once: numbers of a producer are not used twice for different spans."""
    bodies = [json.loads(record.value) for record in red]
    once = {(body["producer"], body["seq"]): body for body in bodies if "producer" in body}
    return sum(value for body in once.values() for lane, _, value in samples(body) if f"|{CALLS}|" in lane)


def examine(arena: Arena, webhook: WebhookReceiver | None) -> tuple[list[Verdict], Truth]:
    """Reads everything and checks it."""
    bootstrap = arena.broker.bootstrap
    records = [(r.key, r.value or b"") for r in reading.read(bootstrap, topics.WINDOWS) if r.key]
    alerts = [decode_alert(r.value or b"") for r in reading.read(bootstrap, topics.ALERTS)]
    scraped = [s for slot in arena.slots.wanted for s in reading.scrape(slot.port)]
    contents_verdict, contents = checker.check_contents(records)
    # logs last: they grow by ticks
    found = truth(log_of(arena, topics.METRICS), sizes_ns=SIZES_NS, lateness_ns=LATENESS_NS)
    verdicts = [checker.check_source(arena.source.acknowledged, found.batches), contents_verdict]
    verdicts += check_all_windows(found, contents, topics.METRICS)
    verdicts.append(checker.check_totals(found.fates, _fates(scraped, topics.METRICS)))
    verdicts += _exported(found, scraped)
    verdicts += examine_spans(arena, contents, scraped)
    alive = episodes(
        found,
        pane_ns=SIZES_NS[0],
        prefix=LEVEL,
        threshold=HIGH / 2,
        for_ns=_FOR_SECONDS * SECOND_NS,
        keep_ns=_KEEP_SECONDS * SECOND_NS,
    )
    made = [
        checker.Transition(a.fingerprint, a.seq, a.identity[LANE], a.state, a.starts_at_ns, repr(a).encode())
        for a in alerts
        if a.alertname == ALERT and not a.revision  # what is told again of an incident's members is not an episode
    ]
    verdicts.append(checker.check_alerts(alive, made))
    if webhook is not None:
        told = [a for a in webhook.alerts if a["labels"].get("alertname") == ALERT]
        verdicts.append(checker.check_notifications((a["fingerprint"], a["startsAt"], a["status"]) for a in told))
    return verdicts, found


def _fates(scraped: list[reading.Sample], topic: str) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {}
    for s in scraped:
        if s.name == "streams_events_total" and s.labels["topic"] == topic:
            found.setdefault(int(s.labels["partition"]), Counter())[s.labels["fate"]] += int(s.value)
    return found


def _exported(found: Truth, scraped: list[reading.Sample]) -> list[Verdict]:
    """Counters' totals and histograms' counts, as Prometheus would scrape them of all workers."""
    values: dict[str, list[float]] = {}
    for pane, numbers in found.values.items():
        if pane.size_ns == SIZES_NS[0]:
            values.setdefault(pane.lane, []).extend(numbers)
    shown: dict[str, Counter[str]] = {"nemesis_steps_total": Counter(), "nemesis_sizes_bytes_count": Counter()}
    for s in scraped:
        if s.name in shown:
            shown[s.name][s.labels[LANE]] += s.value  # type: ignore[assignment]
    sums = {lane: math.fsum(numbers) for lane, numbers in values.items() if lane.startswith("steps")}
    counts = {lane: float(len(numbers)) for lane, numbers in values.items() if lane.startswith("sizes")}
    return [
        checker.check_exported("exported sums", sums, shown["nemesis_steps_total"]),
        checker.check_exported("exported counts", counts, shown["nemesis_sizes_bytes_count"]),
    ]


def settle(arena: Arena, webhook: WebhookReceiver | None) -> tuple[list[Verdict], Truth]:
    """Waits until everything has come out that must, at most :data:`SETTLE_SECONDS`; what is missing then is lost."""
    last: list[tuple[list[Verdict], Truth]] = []

    def complete() -> bool:
        last[:] = [examine(arena, webhook)]
        return not any(v.lost for v in last[0][0])

    try:
        wait(complete, SETTLE_SECONDS, "everything has come out")
    except TimeoutError:
        arena.history.note("not everything has come out")
    return last[0]
