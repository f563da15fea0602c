"""A crash at any boundary between results, checkpoint records and commit changes nothing of what comes out."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agents_emitter import events
from agents_emitter.simulator import simulate
from streams import topics
from streams.app import metrics
from streams.app.alerts import LATE_SNAPSHOTS, AlertsPart
from streams.app.metrics import MetricsPartition
from streams.app.traces import TracesPart
from streams.correlate.bounds import Bounds
from streams.correlate.operator import CorrelateOperator
from streams.correlate.rules import load_rules
from streams.detect import joint
from streams.detect.bands import BandOperator
from streams.detect.operator import DetectOperator
from streams.detect.ratios import RatioOperator
from streams.detect.vectors import VectorOperator
from streams.domain.alert import AlertTransition, decode_alert
from streams.domain.anomaly import decode_anomaly
from streams.domain.ratio import Ratio
from streams.domain.selector import Selector
from streams.domain.source import SourceLog
from streams.domain.trace import TraceRecord, decode_trace
from streams.domain.vector import Feature, Vector
from streams.domain.window import encode_window_batch, split
from streams.publish.deadletter import read_dead_letter
from streams.trace.assembly import TraceOperator
from streams.trace.hung import HungWatch
from streams.window.operator import WindowSpec
from streams.window.rollup import Span
from tests.unit.window_batches import EPOCH, WINDOW, batch, series
from tests.wiring.line import Line, Record

SECOND = 1_000_000_000
BASE = 1_700_000_000 * SECOND
SPEC = WindowSpec(pane_ns=SECOND, spans=(Span(5 * SECOND, 5 * SECOND),), lateness_ns=SECOND)

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: a failure says its log's seed and cuts, and would otherwise take minutes."""
run_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)
crash_points = st.lists(st.integers(0, 40), max_size=8)
depths = st.integers(0, 5)


def forever(lengths: list[int]) -> Iterator[int]:
    return itertools.cycle(lengths)


@pytest.fixture(autouse=True, scope="module")
def small_records() -> Iterator[None]:
    """Every window of the metrics role travels as one record per series."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "split", lambda batch: split(batch, 1))
        yield


@pytest.fixture(autouse=True, scope="module")
def quick_vectors() -> Iterator[None]:
    """Sixty windows are enough to judge some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "SETTLE_WINDOWS", 4)
        patch.setattr(joint, "MATURE_WINDOWS", 5)
        yield


def metric_log(seed: int, records: int = 80) -> list[Record]:
    """Batches of three producers, some twice, some late, some broken; ticks; a quiet end."""
    rng = random.Random(seed)
    names = [events.SeriesDefinition(f"m{i}", "1", kind) for i, kind in enumerate(("counter", "gauge", "histogram"))]
    heads = [events.encode_metric_head({"service.name": f"s{i}"}, names, f"p{i}") for i in range(3)]
    seqs = [0, 0, 0]
    values: list[bytes] = []
    for i in range(records):
        now = BASE + int(i * 0.3 * SECOND)
        if rng.random() < 0.06:
            values.append(rng.choice((b"{", b"[]", b"", b'{"name":"x"}')))
        elif rng.random() < 0.06:
            values.append(events.encode_tick(now))
        elif values and rng.random() < 0.08:
            values.append(rng.choice(values[-15:]))
        else:
            place = rng.randrange(3)
            count = rng.randrange(1, 4)
            late = 30 * SECOND if rng.random() < 0.05 else 0
            values.append(
                events.encode_metric_batch(
                    heads[place],
                    seq=seqs[place],
                    dropped_total=seqs[place] // 3,
                    base_time_unix_nano=now - late,
                    index=[rng.randrange(3) for _ in range(count)],
                    offset_ns=[-int(rng.random() * 0.9 * SECOND) for _ in range(count)],
                    value=[rng.lognormvariate(0, 2) for _ in range(count)],
                )
            )
            seqs[place] += 1
    values += [events.encode_tick(BASE + seconds * SECOND) for seconds in (60, 120)]
    return [Record(value, offset, 2 * 10**12, b"k") for offset, value in enumerate(values)]


def metrics_part() -> MetricsPartition:
    return MetricsPartition(topics.METRICS, 0, SPEC, snapshot_every=3)


def dead_letters(line: Line) -> set[tuple[int, str, bytes | None]]:
    letters = [read_dead_letter(record) for record in line.topics[topics.DEAD_LETTERS]]
    return {(letter.offset, letter.reason, letter.value) for letter in letters}


def span_log(seed: int) -> list[Record]:
    """A simulated quarter minute of spans in the order of arrival, some batches twice, some broken, then ticks."""
    rng = random.Random(seed)
    emissions = simulate("normal_day", seed=seed, start_ns=BASE, duration_seconds=8, agents=6, batch_seconds=0.5)
    arrivals = [(e.time_ns, e.key, e.value) for e in emissions if e.topic == topics.SPANS][:150]
    end_ns = arrivals[-1][0]
    arrivals += [(t + SECOND // 2, key, value) for t, key, value in arrivals if rng.random() < 0.08]
    arrivals += [(t, b"", b"{broken") for t, _, _ in arrivals if rng.random() < 0.03]
    arrivals += [
        (t, key, announcement(value)) for t, key, value in arrivals if value[-2:] == b"]}" and rng.random() < 0.2
    ]
    arrivals += [(end_ns + s * SECOND, b"", events.encode_tick(end_ns + s * SECOND)) for s in (20, 40, 60)]
    arrivals.sort(key=lambda arrival: arrival[0])
    return [
        Record(value, offset, time_ns // 1_000_000, key, 0, topics.SPANS)
        for offset, (time_ns, key, value) in enumerate(arrivals)
    ]


def announcement(value: bytes) -> bytes:
    """The start of a span that nobody ends."""
    body = orjson.loads(value)
    row = {**body["spans"][0], "phase": "start", "spanId": f"{zlib.crc32(value):016x}"}
    del row["endTimeUnixNano"]
    return orjson.dumps({**body, "producer": "announcer", "spans": [row]})


class EagerTraces(TracesPart):
    """Writes a checkpoint after every run, whatever the clock says."""

    def process(self, records, now_ns):  # type: ignore[no-untyped-def]
        self._checkpoint_ns = -(10**12)
        return super().process(records, now_ns)


def traces_part() -> TracesPart:
    return EagerTraces(topics.SPANS, 0, TraceOperator(quiet_seconds=10), hung=HungWatch(15 * SECOND))


def last_revisions(line: Line) -> dict[bytes, TraceRecord]:
    found: dict[bytes, TraceRecord] = {}
    for record in line.topics[topics.TRACES]:
        trace = decode_trace(record.value or b"")
        known = found.get(record.key or b"")
        if known is None or trace.supersedes(known):
            found[record.key or b""] = trace
    return found


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 50), lengths=run_lengths, crashes=crash_points, depth=depths)
def test_traces(seed: int, lengths: list[int], crashes: list[int], depth: int) -> None:
    log = span_log(seed)
    calm, crashed = Line(log, traces_part), Line(log, traces_part, crashes)
    calm.run(forever([len(log)]), 0)
    crashed.run(forever(lengths), depth)
    assert last_revisions(crashed) == last_revisions(calm)
    samples = [{r.value for r in line.topics[topics.RED] if r.key} for line in (crashed, calm)]
    exemplars = [{value for value in of if events.EXEMPLAR_SCHEMA.encode() in value[:100]} for of in samples]
    assert samples[0] - exemplars[0] == samples[1] - exemplars[1]
    assert all(exemplars)  # not the same ones: a crash may lose those of a second
    assert any(b"agents.sessions.hung" in (value or b"") for value in samples[1])
    assert crashed.part.progress(0, 0) == calm.part.progress(0, 0)
    assert dead_letters(crashed) == dead_letters(calm)


RULES = load_rules(
    """
version: 1
rules:
  Hot:
    metric: heat
    statistic: max
    window_seconds: 20
    unit: "1"
    group_by: [agent.id]
    levels:
      - {severity: warning, op: ">", threshold: 5, for_seconds: 30}
    keep_firing_seconds: 20
    summary: "{agent.id} {value}"
    description: "{threshold}"
"""
)


def window_log(seed: int, windows: int = 60, chunk_series: int = 2) -> list[Record]:
    """Windows of five agents that get hot now and then, each in several records, with records of others between."""
    rng = random.Random(seed)
    hot = {agent: rng.randrange(5, 40) for agent in range(5)}
    values: list[bytes] = []
    for number in range(windows):
        rows = {
            series("heat", agent__id=f"a{agent}"): [9.0 if begin <= number < begin + 12 else rng.random()]
            for agent, begin in hot.items()
        }
        for outcome, count in (("failure", 20.0 if number in {30, 45} else 1.0), ("success", 40.0)):
            rows[series("steps", "counter", outcome=outcome)] = [count]
        whole = batch(number, rows)
        other = [encode_window_batch(p) for p in split(batch(number, rows, topic=topics.LOGS, partition=0), 3)]
        parts = [encode_window_batch(part) for part in split(whole, chunk_series)]
        mixed = sorted([(rng.random(), p) for p in other], key=lambda pair: pair[0])
        for place, part in enumerate(parts):
            values.append(part)
            if place < len(mixed) and rng.random() < 0.5:
                values.append(mixed.pop(0)[1])
        values += [part for _, part in mixed]
    return [Record(value, offset, EPOCH // 1_000_000, b"k", 0, topics.WINDOWS) for offset, value in enumerate(values)]


def learnt(line: Line) -> list[dict[str, bytes]]:
    assert isinstance(line.part, AlertsPart)
    operators = (line.part.bands, line.part.ratios, line.part.vectors)
    return [{topic: operator.snapshot() for topic, operator in one.items()} for one in operators]


def bands() -> BandOperator:
    return BandOperator([Selector("heat")], Bounds(RULES), WINDOW)


def shares() -> RatioOperator:
    failed = Ratio("steps.failed", (Selector("steps", (("outcome", ("failure",)),)),), (Selector("steps"),), ())
    return RatioOperator([failed], WINDOW, threshold=0.99, warmup_windows=20)


def vectors() -> VectorOperator:
    features = (Feature("heat", Selector("heat"), "mean"), Feature("steps", Selector("steps"), "rate"))
    return VectorOperator([Vector("work", features, ())], WINDOW, threshold=0.99, warmup_windows=20)


def alerts_part() -> AlertsPart:
    return AlertsPart(
        topics.WINDOWS,
        0,
        make_detect=lambda: DetectOperator(warmup_windows=20),
        make_correlate=lambda: CorrelateOperator(RULES),
        notify=lambda _: None,
        resume=lambda _: None,
        snapshot_every=4,
        pane_ns=WINDOW,
        detector="novelty",
        make_bands=bands,
        make_ratios=shares,
        make_vectors=vectors,
    )


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(seed=st.integers(0, 10**6), lengths=run_lengths, crashes=crash_points, depth=depths)
def test_alerts(seed: int, lengths: list[int], crashes: list[int], depth: int) -> None:
    log = window_log(seed)
    calm, crashed = Line(log, alerts_part), Line(log, alerts_part, crashes)
    calm.run(forever([len(log)]), 0)
    crashed.run(forever(lengths), depth)
    assert transitions(crashed) == transitions(calm)
    assert learnt(crashed) == learnt(calm)
    assert transitions(calm)
    assert any(decode_anomaly(r.value or b"").detector == "vector" for r in calm.topics[topics.ANOMALIES])
    assert {r.value for r in crashed.topics[topics.ANOMALIES]} == {r.value for r in calm.topics[topics.ANOMALIES]}


def test_what_ended_is_told_again_after_a_restart() -> None:
    """A worker may die after the snapshot and before Alertmanager has heard of it."""
    line = Line(window_log(1), lambda: replace(alerts_part(), snapshot_every=1))
    line.run(forever([5]), 0)
    again: list[AlertTransition] = []
    line._make = lambda: replace(alerts_part(), resume=again.extend)
    line._restore()
    last = {alert.fingerprint: alert for alert in transitions(line).values() if alert.state != "pending"}
    ended = {alert.fingerprint for alert in last.values() if alert.state == "resolved"}
    assert ended
    assert {alert.fingerprint for alert in again if alert.state == "resolved"} == ended
    assert {alert.fingerprint: alert for alert in again if alert.state != "pending"} == last


def test_a_snapshot_waits_for_alertmanager_but_not_for_ever() -> None:
    def snapshots(*, told: bool) -> int:
        part = alerts_part()
        part.told = lambda: told
        return sum(bool(step.checkpoint) for record in window_log(1) for step in part.process([record], 0))

    assert snapshots(told=False) == snapshots(told=True) // LATE_SNAPSHOTS > 0


def transitions(line: Line) -> dict[tuple[str, int], AlertTransition]:
    """By alert and number; what a restart repeats must not differ."""
    found: dict[tuple[str, int], AlertTransition] = {}
    for record in line.topics[topics.ALERTS]:
        alert = decode_alert(record.value or b"")
        assert found.setdefault((alert.fingerprint, alert.seq), alert) == alert
    return found


@pytest.mark.parametrize("crash", range(12))
def test_every_boundary_of_one_checkpoint(crash: int) -> None:
    """Exhaustive where it matters: a crash after each of the first deliveries, then one more in the next life."""
    log = metric_log(3)
    calm = Line(log, metrics_part)
    calm.run(forever([len(log)]), 0)
    for again in range(12):
        crashed = Line(log, metrics_part, [crash, again])
        crashed.run(forever([9]), 1)
        assert crashed.lives == 3
        assert crashed.contents(topics.WINDOWS) == calm.contents(topics.WINDOWS)
        assert crashed.part.progress(0, 0) == calm.part.progress(0, 0)


def test_a_partition_where_nothing_closes_is_not_read_from_its_beginning_after_a_restart() -> None:
    broken = [Record(b"{", offset, 2 * 10**12, b"k") for offset in range(4)]
    part = metrics_part()
    (early,) = part.process(broken[:2], BASE)
    assert not early.checkpoint
    (due,) = part.process(broken[2:], BASE + 10 * SECOND)
    state = {(record.key or b"").decode(): record.value or b"" for record in due.checkpoint}
    due.done([])
    assert part.committable == 4
    again = metrics_part()
    assert again.restore(state, SourceLog("", 1, 0, 4)).offset == 4
    assert again.operator.fates.rejected.total() == 4


def test_a_share_that_is_strange_is_an_anomaly_on_its_topic() -> None:
    log = window_log(3)
    line = Line(log, alerts_part)
    line.run(forever([5]), 1)
    found = [decode_anomaly(record.value or b"") for record in line.topics[topics.ANOMALIES]]
    strange = {(one.start_ns - EPOCH) // WINDOW for one in found if one.detector == "ratio"}
    assert strange == {30, 45}
