"""JSON that compiled code writes is what Python's own says."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streams.domain.jsonbytes import put_bytes, put_id, put_integer, put_text, same_bytes

ROOM = 2_000
EDGES = [sign * (10**power + step) for sign in (1, -1) for power in range(19) for step in (-1, 0, 1)]


def written(put: Any, *arguments: Any) -> bytes:
    out = np.zeros(ROOM, np.uint8)
    return out[3 : put(out, 3, *arguments)].tobytes()


def column(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


@settings(deadline=None)
@given(st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(EDGES))
def test_an_integer_has_its_decimal_digits(value: int) -> None:
    assert written(put_integer, value) == b"%d" % value


@settings(deadline=None)
@given(st.integers(0, (1 << 64) - 1))
def test_an_id_has_sixteen_digits(value: int) -> None:
    assert written(put_id, np.uint64(value)) == b"%016x" % value


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8") | st.sampled_from('ab"\\\n')) | st.text("abc", max_size=40))
def test_a_text_reads_back(text: str) -> None:
    raw = text.encode()
    assert orjson.loads(written(put_text, column(b"before" + raw + b"after"), 6, 6 + len(raw))) == text


@settings(deadline=None)
@given(st.binary(max_size=100), st.integers(0, 100), st.integers(0, 100))
def test_bytes_are_copied_as_they_are(raw: bytes, begin: int, size: int) -> None:
    assert written(put_bytes, column(raw), min(begin, len(raw)), min(begin + size, len(raw))) == raw[begin:][:size]


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_changed_byte_makes_a_difference(raw: bytes, data: st.DataObject) -> None:
    changed = column(b"--" + raw).copy()
    assert same_bytes(column(raw), 0, changed, 2, len(raw))
    changed[2 + data.draw(st.integers(0, len(raw) - 1))] ^= 1
    assert not same_bytes(column(raw), 0, changed, 2, len(raw))
