"""Dead letters: original bytes, reason, and where they came from."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.publish.deadletter import Headers, dead_letter, read_dead_letter


class Read(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    reason=st.text(),
    detail=st.text(st.characters(), max_size=2_000),
    offset=st.integers(0, 2**62),
    at_ns=st.integers(0, 2**62),
)
def test_it_reads_back_as_it_was(
    key: bytes | None, value: bytes | None, reason: str, detail: str, offset: int, at_ns: int
) -> None:
    made = dead_letter(
        key=key,
        value=value,
        reason=reason,
        detail=detail,
        topic="agents.spans",
        partition=3,
        offset=offset,
        at_ns=at_ns,
    )
    assert (made.key, made.value) == (key, value)
    read = read_dead_letter(Read(*made))
    assert (read.key, read.value, read.offset, read.at_ns) == (key, value, offset, at_ns)
    assert (read.topic, read.partition, read.truncated_from_bytes) == ("agents.spans", 3, 0)
    assert read.reason == reason
    assert read.detail == detail[:512].encode("utf-8", "replace").decode()


def test_what_is_too_large_is_cut_and_says_so() -> None:
    made = dead_letter(
        key=b"k",
        value=b"0123456789",
        reason="json",
        detail="x\ud800",
        topic="t",
        partition=0,
        offset=0,
        at_ns=0,
        max_value_bytes=4,
    )
    read = read_dead_letter(Read(*made))
    assert (read.value, read.truncated_from_bytes) == (b"0123", 10)
    assert read.detail == "x?"


def test_detail_is_bounded() -> None:
    made = dead_letter(key=None, value=b"", reason="r", detail="x" * 600, topic="t", partition=0, offset=0, at_ns=0)
    assert len(read_dead_letter(Read(*made)).detail) == 512


def test_a_newer_version_is_refused_whole_as_it_is() -> None:
    made = dead_letter(key=None, value=b"", reason="r", detail="", topic="t", partition=0, offset=0, at_ns=0)
    headers = [(name, b"streams.dead-letter/2" if name == "schema" else item) for name, item in made.headers]
    with pytest.raises(ValueError, match=r"schema 'streams\.dead-letter/2'"):
        read_dead_letter(Read(None, b"", headers))


@pytest.mark.parametrize(
    "headers", [[], [("schema", b"streams.dead-letter/2")], [("schema", b"streams.dead-letter/1"), ("reason", b"x")]]
)
def test_another_record_is_not_a_dead_letter(headers: Headers) -> None:
    with pytest.raises(ValueError, match="dead letter"):
        read_dead_letter(Read(None, b"", headers))
