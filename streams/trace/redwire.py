"""Numba: a metric batch written from flat columns, byte for byte as ``agents_emitter.events`` encodes it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.jsonbytes import LONGEST_NUMBER, put_bytes, put_integer, put_word
from streams.domain.kernel import kernel

_LETTERS: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
_PAIRS: Final = np.array([int(_LETTERS[i >> 6]) | int(_LETTERS[i & 63]) << 8 for i in range(4096)], np.uint64)
"""Two letters for twelve bits, the first one lowest."""


def _word(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


_DROPPED: Final = _word(b',"dropped_total":0,"base_time_unix_nano":')
_COUNT: Final = _word(b',"count":')
_INDEX: Final = _word(b',"index":"')
_OFFSET: Final = _word(b'","offset_ns":"')
_VALUE: Final = _word(b'","value":"')
_END: Final = _word(b'"}')
_WORDS_BYTES: Final = 256
_SAMPLE_LETTERS: Final = 24


class Flat(NamedTuple):
    """Columns of m samples: number of the series, time, value; room for places in the head. Then their bytes."""

    series: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    places: NDArray[np.uint16]
    time_bytes: NDArray[np.uint8]
    value_bytes: NDArray[np.uint8]
    places_bytes: NDArray[np.uint8]


def make_flat(size: int) -> Flat:
    """Room for so many samples."""
    time_ns, value, places = np.empty(size, "<i8"), np.empty(size, "<f8"), np.empty(size, "<u2")
    views = (time_ns.view(np.uint8), value.view(np.uint8), places.view(np.uint8))
    return Flat(np.empty(size, np.int32), time_ns, value, places, *views)


class Head(NamedTuple):
    """What a batch begins with: bytes before and after the list of series, up to the number of the batch.

    ``json``, ``start`` int64[s + 1]: all series as JSON; ``order`` int32[s]: sorted; ``place`` int32[s]: zeros.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    json: NDArray[np.uint8]
    start: NDArray[np.int64]
    order: NDArray[np.int32]
    place: NDArray[np.int32]


def room_for(head: Head, samples: int) -> int:
    """How many bytes a batch of so many samples takes at most."""
    words = len(head.before) + len(head.after) + _WORDS_BYTES + 4 * LONGEST_NUMBER
    return words + len(head.json) + len(head.order) + _SAMPLE_LETTERS * samples


@kernel
def put_base64(out: Any, at: int, buf: Any, begin: int, end: int) -> Any:
    """The bytes ``buf[begin:end]`` in base64."""
    to, i, last = np.uint64(at), np.uint64(begin), np.uint64(end)
    while i + np.uint64(6) <= last:
        word = np.uint64(0)
        for k in range(6):
            word = (word << np.uint64(8)) | np.uint64(buf[i + np.uint64(k)])
        letters = _PAIRS[word >> np.uint64(36)] | (_PAIRS[(word >> np.uint64(24)) & np.uint64(4095)] << np.uint64(16))
        letters |= _PAIRS[(word >> np.uint64(12)) & np.uint64(4095)] << np.uint64(32)
        letters |= _PAIRS[word & np.uint64(4095)] << np.uint64(48)
        for k in range(8):
            out[to + np.uint64(k)] = np.uint8((letters >> np.uint64(8 * k)) & np.uint64(0xFF))
        to += np.uint64(8)
        i += np.uint64(6)
    while i < last:
        left = min(last - i, np.uint64(3))
        word = np.uint64(0)
        for k in range(3):
            byte = np.uint64(buf[i + np.uint64(k)]) if np.uint64(k) < left else np.uint64(0)
            word = (word << np.uint64(8)) | byte
        for k in range(4):
            letter = _LETTERS[(word >> np.uint64(18 - 6 * k)) & np.uint64(63)]
            out[to + np.uint64(k)] = letter if np.uint64(k) <= left else np.uint8(61)
        to += np.uint64(4)
        i += left
    return np.int64(to)


@kernel
def _put_series(out: Any, at: int, head: Head, flat: Flat, first: int, last: int) -> int:
    """The series that samples use, sorted: the same series give the same bytes, which readers recognise."""
    for i in range(first, last):
        head.place[flat.series[i]] = 1
    used = 0
    for k in range(head.order.shape[0]):
        series = head.order[k]
        if head.place[series] != 0:
            if used:
                out[at] = 44
                at += 1
            at = put_bytes(out, at, head.json, head.start[series], head.start[series + 1])
            used += 1
            head.place[series] = used
    for i in range(first, last):
        flat.places[i] = head.place[flat.series[i]] - 1
    for i in range(first, last):
        head.place[flat.series[i]] = 0
    return at


@kernel
def write_batch(out: Any, head: Head, flat: Flat, first: int, last: int, seq: int) -> int:
    """Samples ``first`` to ``last`` as a batch; returns its size. Their times become offsets.

    ``out`` has :func:`room_for` them.
    """
    at = put_word(out, 0, head.before)
    at = _put_series(out, at, head, flat, first, last)
    at = put_integer(out, put_word(out, at, head.after), seq)
    base = flat.time_ns[first]
    for i in range(first, last):
        flat.time_ns[i] -= base
    at = put_integer(out, put_word(out, at, _DROPPED), base)
    at = put_integer(out, put_word(out, at, _COUNT), last - first)
    at = put_base64(out, put_word(out, at, _INDEX), flat.places_bytes, 2 * first, 2 * last)
    at = put_base64(out, put_word(out, at, _OFFSET), flat.time_bytes, 8 * first, 8 * last)
    at = put_base64(out, put_word(out, at, _VALUE), flat.value_bytes, 8 * first, 8 * last)
    return put_word(out, at, _END)
