"""Any bytes as a record: a fate for each event, a dead letter with a known reason for each record that is refused.

``tests/unit/decode/test_fuzz.py`` says what decoding alone does with edited JSON; here whole parts of the roles take
flipped bits and cut records of every format, and what they give to the dead-letter topic is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agents_emitter import events
from streams import topics
from streams.app.metrics import MetricsPartition
from streams.app.outbox import Step
from streams.app.rekey import RekeyPart
from streams.app.sink import Output, singly
from streams.app.traces import TracesPart
from streams.decode.reasons import REASONS
from streams.decode.run import HeadCache, decode_run
from streams.decode.spans import decode_spans
from streams.domain.series import SeriesTable
from streams.publish.deadletter import DeadLetter, read_dead_letter
from streams.trace.assembly import TraceOperator
from streams.window.fates import Fates
from streams.window.operator import WindowSpec
from tests.property.profile import examples
from tests.property.sources import BASE, DEFINITIONS, SECOND, log_of
from tests.unit.decode.runs import sample
from tests.wiring.line import Record

RESOURCE = {"service.name": "planner", "service.instance.id": "planner-1"}
SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "n",
    "kind": 2,
    "startTimeUnixNano": BASE,
    "endTimeUnixNano": BASE + SECOND,
    "attributes": {"k": "v"},
    "status": {"code": 2, "message": "no"},
}


def batch(columns: events.Columns) -> bytes:
    return events.encode_metric_batch(
        events.encode_metric_head(RESOURCE, DEFINITIONS, "p"),
        seq=0,
        dropped_total=0,
        base_time_unix_nano=BASE,
        index=[0, 1, 2, 3],
        offset_ns=[0, 1, 2, 3],
        value=[1.0, 2.0, 3.0, 4.0],
        columns=columns,
    )


def otlp_logs() -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    attribute = resource.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", "planner"
    record = resource.scope_logs.add().log_records.add()
    record.time_unix_nano, record.severity_number, record.body.string_value = BASE, 9, "text"
    return request.SerializeToString()


METRICS = [
    batch("packed"),
    batch("plain"),
    events.encode_single("n", 1.5, time_unix_nano=BASE, labels={"a": "b"}, resource=RESOURCE),
    events.encode_tick(BASE),
    events.encode_log_batch(RESOURCE, [{"timeUnixNano": BASE, "severityNumber": 9, "body": "x"}], producer="l", seq=1),
    *(sample(f"{who}_metrics{how}.bin") for who, how in (("collector_otlp", ""), ("collector_otlp", "_json"))),
    *(sample(f"rotel_{how}_metrics.bin") for how in ("json", "protobuf")),
]
LOGS = [
    otlp_logs(),
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"5","body":{"stringValue":"x"}}]}]}]}',
]
SPANS = [
    events.encode_span_batch(RESOURCE, [{**SPAN, "traceId": "0" * 32}] * 3 + [SPAN], producer="s", seq=2),
    events.encode_span_batch(RESOURCE, [SPAN, {**SPAN, "spanId": "b7ad6b7169203332"}], producer="s", seq=1),
    *(sample(f"collector_otlp_spans{how}.bin") for how in ("", "_json")),
    *(sample(f"rotel_{how}_traces.bin") for how in ("json", "protobuf")),
]


EMPTY = [b"[]", b"{}", *(b'{"resource%s":[{}]}' % kind for kind in (b"Metrics", b"Logs", b"Spans"))]


def flipped(raw: bytes, bits: Sequence[int]) -> bytes:
    out = bytearray(raw)
    for bit in bits:
        out[bit // 8 % len(out)] ^= 1 << bit % 8
    return bytes(out)


def any_of(valid: Sequence[bytes]) -> st.SearchStrategy[list[bytes | None]]:
    """Runs of records: valid, with flipped bits, cut at either end, and plain noise."""
    whole = st.sampled_from(valid)
    bits = st.lists(st.integers(0, 2**20), min_size=1, max_size=3)
    cut = st.builds(lambda raw, at: raw[: at % len(raw)], whole, st.integers(0, 2**20))
    tail = st.builds(lambda raw, at: raw[at % len(raw) :], whole, st.integers(0, 2**20))
    damaged = st.builds(flipped, whole, bits)
    noise = st.binary(max_size=40) | st.sampled_from(EMPTY) | st.none()
    return st.lists(whole | damaged | damaged | cut | tail | noise, min_size=1, max_size=8)


def dead_letters(steps: Sequence[Step]) -> list[DeadLetter]:
    """What a part gave to the dead-letter topic."""
    outputs = (output for step in steps for output in singly(step.results) if output.topic == topics.DEAD_LETTERS)
    records = (Record(o.value, 0, 0, o.key, 0, o.topic, o.headers) for o in outputs)
    return [read_dead_letter(record) for record in records]


def assert_letters(letters: Sequence[DeadLetter], log: Sequence[Record], known: Sequence[str] = REASONS) -> None:
    """Each carries the bytes of its record and a reason of the list."""
    for letter in letters:
        assert letter.reason in known
        assert (letter.value, letter.key) == (log[letter.offset].value, b"k")


BY_WINDOWS = (*REASONS, "future", "sequence_too_old")


@examples(120)
@given(any_of([*METRICS, *LOGS, *SPANS]), st.sampled_from([topics.METRICS, topics.OTLP_METRICS, topics.OTLP_LOGS]))
def test_every_record_of_the_metrics_role_has_a_fate(values: list[bytes | None], topic: str) -> None:
    log = log_of(values, topic)
    whole, letters = metrics_of(log, topic)
    assert_letters(letters, log, BY_WINDOWS)
    events_seen, refused = 0, Counter[tuple[int, str]]()
    for record in log:
        fates, own = metrics_of([record], topic)
        events_seen += fates.total
        refused += by_decode(own)
        run = decode_run([record], SeriesTable(), HeadCache(), hint=topic)
        assert fates.total or run.ticks or run.batches
    assert whole.total == events_seen
    assert by_decode(letters) == refused


def metrics_of(log: Sequence[Record], topic: str) -> tuple[Fates, list[DeadLetter]]:
    """What a new part of the metrics role makes of a log."""
    part = MetricsPartition(topic, 0, WindowSpec(), snapshot_every=1)
    letters = dead_letters(part.process(log, 0))  # type: ignore[arg-type]
    assert bool(letters) == (part.operator.fates.rejected.total() > 0)
    assert {letter.reason for letter in letters} == set(part.operator.fates.rejected)
    return part.operator.fates, letters


def by_decode(letters: Sequence[DeadLetter]) -> Counter[tuple[int, str]]:
    return Counter((letter.offset, letter.reason) for letter in letters if letter.reason in REASONS)


@examples(120)
@given(any_of([*METRICS, *LOGS, *SPANS, *SPANS]))
def test_every_record_of_the_traces_role_has_a_fate(values: list[bytes | None]) -> None:
    log = log_of(values, topics.SPANS)
    part = TracesPart(topics.SPANS, 0, TraceOperator())
    rekey = RekeyPart(topics.OTLP_SPANS, 0, 2)
    letters = dead_letters(part.process(log, 10**18))  # type: ignore[arg-type]
    assert_letters(letters, log)
    refused = {letter.offset for letter in letters}
    for record in log:
        run = decode_spans([record], hint=topics.SPANS)
        assert run.spans or run.ticks or run.batches or record.offset in refused
    assert Counter(letter.reason for letter in letters).keys() == part.reasons.keys()
    assert part.counts["rejected"] == part.reasons.total()
    forwarded = rekey.process(log, 0)  # type: ignore[arg-type]
    assert {(x.offset, x.reason) for x in dead_letters(forwarded)} == {(x.offset, x.reason) for x in letters}
    assert rekey.reasons == part.reasons
    assert rekey.counts["rejected"] == part.counts["rejected"]
    assert rekey.counts["aggregated"] == part.counts.total() - part.counts["rejected"]
    handed_on = [Record(o.value, i, 10**12, o.key) for i, o in enumerate(results_for(forwarded, topics.SPANS))]
    if handed_on:
        again = TracesPart(topics.SPANS, 0, TraceOperator())
        again.process(handed_on, 10**18)  # type: ignore[arg-type]
        assert again.counts.total() == rekey.counts["aggregated"]
        assert not again.reasons


def results_for(steps: Sequence[Step], topic: str) -> list[Output]:
    return [output for step in steps for output in singly(step.results) if output.topic == topic]
