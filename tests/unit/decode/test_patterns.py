from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.events import encode_log_batch
from streams.decode.patterns import MAX_CHARS, MAX_PATTERNS, OTHER, Patterns, shape
from streams.domain.series import LOG_RECORDS, Series
from tests.unit.decode.runs import NOW_NS, Decoder, decode


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model call failed, attempt 1 of 4", "model call failed, attempt <*> of <*>"),
        ('tool "web search" timed out after 12.5s', "tool <*> timed out after <*>"),
        ("cannot read '/etc/x', can't go on", "cannot read <*>, can't go on"),
        ("status=500 url=https://a.example/b?c=1", "status=<*> url=<*>"),
        ("write to /var/lib/agents failed", "write to <*> failed"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <*>"),
        ("KeyError: 'name'\n  File x.py", "KeyError: <*>"),
        ("login of [redacted:email] token=[redacted:secret]", "login of [redacted:email] token=[redacted:secret]"),
        ("  \n ", ""),
    ],
)
def test_shape(line: str, expected: str) -> None:
    assert shape(line) == expected


@given(st.text())
def test_a_shape_is_its_own_shape_and_short(line: str) -> None:
    once = shape(line)
    assert len(once) <= MAX_CHARS
    assert "\n" not in once


def test_lines_of_one_kind_share_the_first_ones_pattern() -> None:
    patterns = Patterns()
    assert patterns.of("user alice logged in from berlin") == "user alice logged in from berlin"
    assert patterns.of("user bob logged in from paris") == "user alice logged in from berlin"
    assert patterns.of("user bob was locked out by paris") == "user bob was locked out by paris"
    assert len(patterns) == 2


def test_at_the_bound_new_lines_share_one_pattern() -> None:
    patterns = Patterns()
    letters = random.Random(1)
    lines = [" ".join("".join(letters.choices("abcdefgh", k=9)) for _ in range(3)) for _ in range(MAX_PATTERNS + 50)]
    found = [patterns.of(line) for line in lines]
    assert found[MAX_PATTERNS:] == [OTHER] * 50
    assert patterns.of(lines[0]) == lines[0]
    assert len(patterns) == MAX_PATTERNS


def series_of(pattern: str) -> Series:
    return Series(LOG_RECORDS, "1", "counter", (("pattern", pattern),))


WORDS = st.lists(st.sampled_from("abc"), min_size=5, max_size=5).map(lambda words: " ".join(["tool", *words]))
"""So alike that many lines fit several patterns."""


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(0, 30))
def test_a_replay_gives_each_line_the_pattern_it_had(lines: list[str], from_line: int) -> None:
    """From any line on, with all that was learned, read back from the series."""
    first = Patterns()
    found = [first.of(line) for line in lines]
    again = Patterns(series_of(pattern) for pattern in dict.fromkeys(found))
    assert [again.of(line) for line in lines[from_line:]] == found[from_line:]


def row(severity: int, body: object) -> dict[str, object]:
    return {"timeUnixNano": NOW_NS, "severityNumber": severity, "body": body, "attributes": {}}


def test_warnings_and_worse_are_counted_by_pattern() -> None:
    rows = [row(9, "all well 1"), row(13, "slow: 3 s"), row(17, "slow: 4 s"), row(17, {"a": 1}), row(13, "slow: 5 s")]
    found = decode(encode_log_batch({}, rows, producer="p", seq=0), hint="agents.logs")  # type: ignore[arg-type]
    assert found.events == [5]
    labels = [(series.label("severity"), series.label("pattern")) for _, series, _, _ in found.samples]
    assert sorted(labels) == [
        ("ERROR", ""),
        ("ERROR", "slow: <*> s"),
        ("INFO", ""),
        ("WARN", "slow: <*> s"),
        ("WARN", "slow: <*> s"),
    ]


def test_a_pattern_holds_no_secret_and_is_read_back_from_a_table() -> None:
    decoder = Decoder(hint="agents.logs")
    rows = [row(13, f"mail to a{n}@b.example: password={n}, refused by server") for n in range(3)]
    raw = encode_log_batch({}, rows, producer="p", seq=0)
    (pattern,) = {series.label("pattern") for _, series, _, _ in decoder.run(raw).samples}
    assert pattern == "mail to [redacted:email]: password=[redacted:secret] refused by server"
    again = Patterns(decoder.table.rows)
    assert again.of(pattern) == pattern
    assert len(again) == 1
