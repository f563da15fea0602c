"""Single events: recognised by their bytes or parsed, the outcome is the same."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.events import encode_single
from streams.decode import reasons
from tests.unit.decode.runs import NOW_NS, Decoder, decode, match, one_by_one, patient

APPENDED_NS = NOW_NS


def test_name_and_value_are_enough() -> None:
    found = decode(b'{"name":"queue.depth","value":3}')
    ((_, series, at, value),) = found.samples
    assert (series.name, series.unit, series.kind, series.labels) == ("queue.depth", "1", "gauge", ())
    assert (at, value) == (APPENDED_NS, 3.0)


def test_all_fields() -> None:
    raw = encode_single(
        "agents.steps",
        2,
        unit="{step}",
        kind="counter",
        time_unix_nano=77,
        labels={"outcome": "ok", "agent.id": "own"},
        resource={"service.name": "planner", "service.instance.id": "i", "host.name": "h"},
    )
    ((_, series, at, value),) = decode(raw).samples
    assert series.labels == (("agent.id", "own"), ("outcome", "ok"), ("service.name", "planner"))
    assert (series.unit, series.kind, at, value) == ("{step}", "counter", 77, 2.0)


def test_time_as_a_string_of_digits_and_a_running_total() -> None:
    found = decode(b'{"name":"n","value":5,"kind":"counter","temporality":"cumulative","time_unix_nano":"12"}')
    assert [entry[2:] for entry in found.cumulatives] == [(12, 0, 5.0)]


def test_producer_and_seq_make_a_batch_number() -> None:
    raws = [orjson.dumps({"name": "n", "value": 1, "producer": "shell", "seq": n}) for n in (4, 5)]
    decoder = Decoder()
    decoder.run(*raws)
    assert decoder.run(*raws).batches == [(0, "shell", 4, 0), (1, "shell", 5, 0)]


def test_an_array_of_events_in_one_record() -> None:
    found = decode(b'[{"name":"a","value":1},{"name":"b"},7,{"name":"c","value":2}]')
    assert [s[1].name for s in found.samples] == ["a", "c"]
    assert found.events == [2]
    assert found.reasons() == {"missing_field": 1, "bad_type": 1}


def test_labels_are_strings_and_bounded() -> None:
    labels = {"flag": True, "count": 3, "whole": 2.0, "part": 0.5, "none": None, "empty": "", "list": [1, "a"]}
    series, _ = decode(orjson.dumps({"name": "n", "value": 1, "labels": {**labels, "long": "x" * 300}})).only()
    assert dict(series.labels) == {
        "flag": "true",
        "count": "3",
        "whole": "2",
        "part": "0.5",
        "list": '[1,"a"]',
        "long": "x" * 256,
    }


REJECTED = {
    b'{"name":"n"}': "missing_field",
    b'{"value":1}': "missing_field",
    b'{"name":"n","value":null}': "not_finite",
    b'{"name":"n","value":"1"}': "bad_type",
    b'{"name":"n","value":true}': "bad_type",
    b'{"name":"n","value":1e400}': "not_json",
    b'{"name":7,"value":1}': "bad_type",
    b'{"name":"","value":1}': "bad_name",
    b'{"name":"n","value":1,"unit":3}': "bad_type",
    b'{"name":"n","value":1,"kind":"meter"}': "bad_type",
    b'{"name":"n","value":1,"kind":[]}': "bad_type",
    b'{"name":"n","value":1,"labels":[1]}': "bad_type",
    b'{"name":"n","value":1,"labels":{"":"x"}}': "bad_label",
    b'{"name":"n","value":1,"resource":"x"}': "bad_type",
    b'{"name":"n","value":1,"temporality":[]}': "bad_type",
    b'{"name":"n","value":-1,"kind":"counter"}': "negative_counter",
    b'{"name":"n","value":1,"time_unix_nano":0}': "bad_time",
    b'{"name":"n","value":1,"time_unix_nano":-5}': "bad_time",
    b'{"name":"n","value":1,"time_unix_nano":1.5}': "bad_time",
    b'{"name":"n","value":1,"time_unix_nano":9223372036854775808}': "bad_time",
    b'{"name":"n","value":1,"time_unix_nano":"x"}': "bad_time",
    b'{"name":"n","value":1': "not_json",
    b'{"name":"n","value":01}': "not_json",
    b'{"name":"n","value":NaN}': "not_json",
    b'{"a":1}': "unknown_schema",
    b"3": "unknown_schema",
    b"[]": "empty",
    b"": "empty",
    b" ": "not_json",
    b"\xff\xfe": "not_json",
    b'{"schema":3,"name":"n","value":1}': "unknown_schema",
}


@pytest.mark.parametrize(("raw", "reason"), REJECTED.items())
def test_what_cannot_be_used_has_a_reason(raw: bytes, reason: str) -> None:
    good = b'{"name":"n","value":1}'
    decoder = Decoder()
    for _ in range(2):
        found = decoder.run(good, raw, good)
        assert found.rejected == [(1, reason, 1)]
        assert found.events == [1, 0, 1]


def test_no_payload() -> None:
    assert decode(None).rejected == [(0, "empty", 1)]


def test_a_record_above_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "MAX_RECORD_BYTES", 30)
    found = decode(b'{"name":"n","value":1}', b'{"name":"n","value":1,"unit":"seconds"}')
    assert found.rejected == [(1, "oversize", 1)]


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(
        ["0", "-0", "-0.0", "1e5", "1E+05", "2.50", "1e99", "1e-99", "1e308", "-1", "01", "1.", ".5", "+1"]
    ),
)
times = st.one_of(st.integers(0, 2**64).map(str), st.sampled_from(["0", "007", '"12"', '"012"', "null", "1e3", "true"]))
TEMPLATES = (
    '{{"name":"a","value":{0}}}',
    '{{"name":"a","value":{0},"time_unix_nano":{1}}}',
    '{{"time_unix_nano":{1},"value":{0},"name":"a","kind":"counter"}}',
    '{{"name": "a", "value": {0}, "time_unix_nano": {1}}}',
    '{{"name":"b","labels":{{"value":{0}}},"value":1}}',
    '{{"name":"b","value":{0},"value":2}}',
    '{{"name":"b","labels":{{"time_unix_nano":{1}}},"value":{0}}}',
    '{{"name":"value\\":1","value":{0},"unit":"s"}}',
    '{{"name":"c","value":{0},"kind":"counter","temporality":"cumulative"}}',
    '{{"name":"d","labels":{{"k":"{0}"}},"value":{0}}}',
    '[{{"name":"e","value":{0}}}]',
    '{{"name":"f","value":{0},"time_unix_nano":{1}',
    ' {{"name":"g","value":{0}}} ',
    '{{"value":{0},"resource":{{"service.name":"s"}},"name":"h","time_unix_nano":"{1}"}}',
)
records = st.builds(lambda t, n, m: t.format(n, m).encode(), st.sampled_from(TEMPLATES), numbers, times)


@patient
@given(st.lists(records, min_size=1, max_size=12))
def test_known_skeletons_change_nothing(values: list[bytes]) -> None:
    decoder = Decoder()
    expected = one_by_one(*values)
    for _ in range(3):
        assert decoder.run(*values) == expected


def test_skeletons_are_really_used() -> None:
    decoder = Decoder()
    decoder.run(encode_single("n", 1.5, time_unix_nano=5))
    assert len(decoder.cache.skeletons) == 1
    matched = match(decoder.cache.skeletons, encode_single("n", 2.5, time_unix_nano=6))
    assert (matched.value.tolist(), matched.time_ns.tolist()) == ([2.5], [6])


def test_an_event_that_never_repeats_is_not_learned_without_end() -> None:
    decoder = Decoder()
    values = [json.dumps({"name": "n", "value": 1, "labels": {"id": i}}).encode() for i in range(5_000)]
    decoder.run(*values)
    assert len(decoder.cache.skeletons) < 300


def test_records_cannot_lean_on_their_neighbours() -> None:
    values = [
        b'{"name":"a","value":1,"labels":{"x":[{}',
        b'{"name":"b","value":2}',
        b"{}]}}",
        b'{"name":"c","value":3}',
    ]
    decoder = Decoder()
    for _ in range(2):
        found = decoder.run(*values)
        assert [s[1].name for s in found.samples] == ["b", "c"]
        assert found.events == [0, 1, 0, 1]
