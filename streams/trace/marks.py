"""Loops of a trace written into its record, where its bytes say that there may be any.

Almost no trace has one, so no record is taken apart for nothing: an agent that repeats a tool call states the call's
arguments each time, and the bytes show how often they are stated.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.domain.jsonbytes import same_bytes
from streams.domain.kernel import kernel
from streams.domain.pattern import Loop
from streams.domain.trace import TraceRecord, decode_trace
from streams.trace.patterns import ARGUMENTS, LOOP_CALLS, loops
from streams.trace.tree import build

_STATED: Final = f'"{ARGUMENTS}":'.encode()
_TEXT: Final = np.frombuffer(_STATED, np.uint8)


def _skips() -> NDArray[np.uint8]:
    """uint8[256]: by the byte at its last place, how far on the text can end at the earliest."""
    found = np.full(256, len(_STATED), np.uint8)
    for place, byte in enumerate(_STATED[:-1]):
        found[byte] = len(_STATED) - 1 - place
    return found


_SKIPS: Final = _skips()


@kernel
def repeats(text: Any, ends: Any, found: Any) -> None:
    """Which records state a call's arguments so often that there may be a loop: most bytes are skipped (Horspool).

    Args:
        text: uint8, the records one after the other.
        ends: int64[k + 1], where each begins and ends.
        found: bool[k], filled here.
    """
    size = _TEXT.shape[0]
    for i in range(found.shape[0]):
        at, count = ends[i] + size - 1, 0
        while at < ends[i + 1] and count < LOOP_CALLS:
            byte = text[np.uint64(at)]
            if byte == _TEXT[size - 1] and same_bytes(text, at - size + 1, _TEXT, 0, size):
                count += 1
            at += _SKIPS[byte]
        found[i] = count == LOOP_CALLS


class Marked(NamedTuple):
    """A record of ``agents.traces`` and, where it has loops, what it says."""

    value: bytes
    record: TraceRecord | None = None
    loops: tuple[Loop, ...] = ()


def marked(value: bytes) -> Marked:
    """The record with its field ``loops``; the same bytes where it has none."""
    if value.count(_STATED) < LOOP_CALLS:
        return Marked(value)
    record = decode_trace(value)
    found = loops(build(record.spans, record.unfinished))
    if not found:
        return Marked(value)
    field = orjson.dumps([loop._asdict() for loop in found])
    return Marked(b"".join((value[:-1], b',"loops":', field, b"}")), record, found)
