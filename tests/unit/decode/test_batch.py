"""Our metric batches: every way to write one gives the same columns, and bad samples fall alone."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.events import SeriesDefinition
from streams.decode.run import HeadCache
from tests.unit.decode.runs import NOW_NS, Decoder, batch, decode, head, one_by_one, patient

DURATION = SeriesDefinition("agents.inference.duration", "s", "histogram", (("operation", "chat"),))
STEPS = SeriesDefinition("agents.steps", "1", "counter", (("outcome", "ok"),))
TOTAL = SeriesDefinition("agents.errors", "1", "counter", (), "cumulative")
SESSIONS = SeriesDefinition("agents.sessions", "{session}", "updowncounter", (), "cumulative")
FRONT = head(DURATION, STEPS, TOTAL, SESSIONS)

finite = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(st.tuples(st.integers(0, 5), st.integers(-(2**40), 2**40), st.floats()), max_size=20)


def test_samples_carry_series_time_value_and_the_number_of_their_batch() -> None:
    found = decode(batch(FRONT, [(0, 5, 0.25), (1, -7, 2.0)], seq=9))
    (_, duration, at, value), (_, steps, earlier, count) = found.samples
    assert (duration.name, duration.unit, duration.kind) == ("agents.inference.duration", "s", "histogram")
    assert duration.labels == (("agent.id", "planner-1"), ("operation", "chat"), ("service.name", "planner"))
    assert (at, value, steps.name, earlier, count) == (NOW_NS + 5, 0.25, "agents.steps", NOW_NS - 7, 2.0)
    assert found.batches == [(0, "p-1", 9, 0)]
    assert found.events == [2]


@patient
@given(samples)
def test_packed_and_plain_columns_are_the_same(content: list[tuple[int, int, float]]) -> None:
    packed = batch(FRONT, content)
    # JSON has no NaN and no infinities: the encoder writes null.
    assert decode(packed) == decode(batch(FRONT, content, columns="plain"))


@patient
@given(st.lists(samples, min_size=1, max_size=5), st.lists(st.sampled_from(["packed", "plain"]), min_size=5))
def test_a_run_on_a_warm_cache_equals_each_record_alone(
    contents: list[list[tuple[int, int, float]]], forms: list[str]
) -> None:
    fronts = (FRONT, head(STEPS, producer="p-2"))
    values = [
        batch(fronts[i % 2], content, seq=i, columns="plain" if forms[i] == "plain" else "packed")
        for i, content in enumerate(contents)
    ]
    decoder = Decoder()
    decoder.run(*values)
    assert decoder.run(*values) == one_by_one(*values)


REWRITES: dict[str, Callable[[dict[str, object]], bytes]] = {
    "indented": lambda body: orjson.dumps(body, option=orjson.OPT_INDENT_2),
    "keys sorted": lambda body: orjson.dumps(body, option=orjson.OPT_SORT_KEYS),
    "unknown field in the body": lambda body: orjson.dumps({**body, "extra": [1]}),
    "unknown field in the head": lambda body: orjson.dumps({"v": 1, "schema": body["schema"], "x": {}, **body}),
    "no dropped_total": lambda body: orjson.dumps({k: v for k, v in body.items() if k != "dropped_total"}),
    "no count, plain": lambda body: orjson.dumps(
        {**body, "index": [0, 1], "offset_ns": [0, 1], "value": [1.5, 2]} | {"count": 2}
    ),
    "newline in front": lambda body: b"\n" + orjson.dumps(body),
}


@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES.keys())
def test_any_way_of_writing_the_same_json_gives_the_same(rewrite: Callable[[dict[str, object]], bytes]) -> None:
    canonical = batch(FRONT, [(0, 0, 1.5), (1, 1, 2.0)], seq=3)
    assert decode(rewrite(orjson.loads(canonical))) == decode(canonical)


def test_a_field_that_looks_like_the_split_stays_where_it_is() -> None:
    front = head(STEPS, resource={"service.name": "x", "seq": "7", "z": ',"seq":'})
    raw = batch(front, [(0, 0, 1.0)], seq=4)
    assert decode(raw, raw) == one_by_one(raw, raw)
    assert decode(raw).batches == [(0, "p-1", 4, 0)]


def test_a_body_that_repeats_a_key_of_the_head_wins_as_in_json() -> None:
    raw = batch(FRONT, [(0, 0, 1.0)])
    other = orjson.dumps([{"name": "other", "unit": "1", "kind": "gauge"}])
    twisted = raw[:-1] + b',"series":' + other + b"}"
    decoder = Decoder()
    assert decoder.run(raw).only()[0].name == "agents.inference.duration"
    assert decoder.run(twisted).only()[0].name == "other"
    assert decoder.run(raw).only()[0].name == "agents.inference.duration"


def test_bad_samples_are_rejected_and_the_others_kept() -> None:
    content = [(0, 0, math.nan), (9, 0, 1.0), (0, -2 * NOW_NS, 1.0), (1, 0, -1.0), (0, 0, math.inf), (0, 0, 3.0)]
    found = decode(batch(FRONT, content))
    assert found.only()[1] == 3.0
    assert found.reasons() == {"not_finite": 2, "bad_columns": 1, "bad_time": 1, "negative_counter": 1}
    assert found.events == [1]


def test_time_beyond_64_bits_is_bad_time() -> None:
    assert decode(batch(FRONT, [(0, 2**62, 1.0)], base_ns=2**63 - 1)).reasons() == {"bad_time": 1}
    assert decode(batch(FRONT, [(0, 0, 1.0)], base_ns=2**63 - 1)).samples[0][2] == 2**63 - 1
    assert decode(batch(FRONT, [(0, 0, 1.0), (0, 0, 2.0)], base_ns=2**63)).reasons() == {"bad_time": 2}


@pytest.mark.parametrize("base_ns", [1, 10**17, 10**18 - 1, 10**18, 9_223_372_036_854_775_799, 2**63 - 1])
def test_every_width_of_the_base_time_is_read_exactly(base_ns: int) -> None:
    raw = batch(FRONT, [(0, 0, 1.0)], base_ns=base_ns)
    assert [s[2] for s in decode(raw, raw).samples] == [base_ns, base_ns]


def test_a_series_that_cannot_be_used_costs_its_own_samples_only() -> None:
    definitions = [{"name": "ok", "unit": "1", "kind": "gauge"}, {"name": "bad", "kind": "wat"}, {"kind": "gauge"}, 7]
    definitions.append({"name": "wide", "kind": "gauge", "labels": {f"l{i}": "x" for i in range(65)}})
    body = orjson.loads(batch(FRONT, [(i, 0, 1.0) for i in (0, 1, 2, 3, 4, 4)]))
    body["series"] = definitions
    found = decode(orjson.dumps(body))
    assert found.only()[0].name == "ok"
    assert found.reasons() == {"bad_type": 2, "missing_field": 1, "too_many_labels": 2}


def test_kinds() -> None:
    found = decode(batch(FRONT, [(2, 0, 10.0), (3, 0, -4.0)]))
    assert [(c[1].name, c[1].kind, c[2:]) for c in found.cumulatives] == [
        ("agents.errors", "counter", (NOW_NS, 0, 10.0))
    ]
    series, value = found.only()
    assert (series.kind, value) == ("gauge", -4.0), "a running total of an updowncounter is its current value"


BROKEN: dict[str, tuple[Callable[[dict[str, object]], object], str, int]] = {
    "value cut": (lambda b: b.update(value=str(b["value"])[:-4]), "bad_columns", 2),
    "no base64": (lambda b: b.update(value="*" + str(b["value"])[1:]), "bad_columns", 2),
    "not ascii": (lambda b: b.update(index="é" + str(b["index"])[1:]), "bad_columns", 2),
    "padding bits": (
        lambda b: b.update(offset_ns=base64.b64encode(b"\1" * 16).decode()[:-3] + "R=="),
        "bad_columns",
        2,
    ),
    "half plain": (lambda b: b.update(index=[0, 1]), "bad_columns", 2),
    "uneven": (lambda b: b.update(index=[0], offset_ns=[0], value=[1, 2]), "bad_columns", 2),
    "count claims more": (lambda b: b.update(count=3), "bad_columns", 3),
    "count absurd": (lambda b: b.update(count=10**15), "bad_columns", 1),
    "no base": (lambda b: b.pop("base_time_unix_nano"), "missing_field", 2),
    "no series": (lambda b: b.pop("series"), "missing_field", 2),
    "seq a string": (lambda b: b.update(seq="1"), "bad_type", 2),
    "seq a bool": (lambda b: b.update(seq=True), "bad_type", 2),
    "resource a list": (lambda b: b.update(resource=[]), "bad_type", 2),
    "next version": (lambda b: b.update(schema="agents.metric/2"), "unsupported_version", 1),
    "v 2": (lambda b: b.update(v=2), "unsupported_version", 1),
    "v true": (lambda b: b.update(v=True), "unsupported_version", 1),
    "other schema": (lambda b: b.update(schema="else/1"), "unknown_schema", 1),
    "spans": (lambda b: b.update(schema="agents.span/1"), "wrong_topic", 1),
}


@pytest.mark.parametrize(("spoil", "reason", "lost"), BROKEN.values(), ids=BROKEN.keys())
def test_a_batch_that_cannot_be_taken_apart_is_rejected_whole(
    spoil: Callable[[dict[str, object]], object], reason: str, lost: int
) -> None:
    body = orjson.loads(batch(FRONT, [(0, 0, 1.0), (1, 0, 2.0)]))
    spoil(body)
    raw = orjson.dumps(body)
    good = batch(FRONT, [(0, 0, 1.0)], seq=1)
    decoder = Decoder()
    for _ in range(2):
        found = decoder.run(good, raw, good)
        assert found.reasons() == {reason: lost}
        assert found.events == [1, 0, 1]


def test_plain_values_of_a_wrong_type_fall_alone() -> None:
    body = orjson.loads(batch(FRONT, [(0, 0, 1.0)] * 6, columns="plain"))
    body["value"] = [1, "2", None, True, 4.5, 5]
    body["index"] = [0, 0, 0, 0, 2**64 - 1, 0]
    body["offset_ns"][5] = "0"
    found = decode(orjson.dumps(body))
    assert found.only()[1] == 1.0
    assert found.reasons() == {"bad_type": 2, "not_finite": 1, "bad_columns": 1, "bad_time": 1}
    body["index"], body["value"] = [True, 0, 0, 0, 0, 0], [1.0] * 6
    assert decode(orjson.dumps(body)).reasons() == {"bad_columns": 1, "bad_time": 1}


def test_a_batch_without_samples_keeps_its_number() -> None:
    found = decode(batch(FRONT, [], seq=5), batch(FRONT, [], seq=6, columns="plain"))
    assert found.batches == [(0, "p-1", 5, 0), (1, "p-1", 6, 0)]
    assert found.events == [0, 0]
    assert found.rejected == []


def test_heads_beyond_the_bound_are_parsed_again() -> None:
    values = [batch(head(STEPS, producer=f"p-{i}"), [(0, 0, float(i))]) for i in range(8)]
    decoder = Decoder(HeadCache(count=2, size_bytes=10_000))
    for _ in range(3):
        assert decoder.run(*values) == one_by_one(*values)
    assert decoder.cache.heads.total <= 2


def test_another_table_gets_its_own_numbers() -> None:
    first, second = Decoder(), Decoder()
    second.cache = first.cache
    single = b'{"name":"queue","value":1,"kind":"gauge"}'
    first.run(batch(head(DURATION), [(0, 0, 1.0)]), batch(FRONT, [(1, 0, 1.0)]), single)
    assert second.run(batch(FRONT, [(1, 0, 1.0)]), single) == one_by_one(batch(FRONT, [(1, 0, 1.0)]), single)
