"""Snapshots of any size as records of the state topic, replaced atomically.

A snapshot is cut into chunks under one of two alternating slots; its core record, written last, names the slot and
holds a checksum. A crash between leaves the older core with the older slot's chunks. Each chunk begins with the source
offset of its snapshot (8 bytes), so that what a worker writes after it has lost its partition can be told apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from streams.errors import StateError

CHUNK: Final = "/chunk/"
SERIES: Final = "/series/"
CHUNK_BYTES: Final = 4 * 1_048_576


class Snapshot(NamedTuple):
    """A snapshot and the source offset up to which everything is in it."""

    applied: int
    value: bytes


class BlobWriter:
    """Writes one snapshot after the other under a key."""

    def __init__(self, key: str, slot: int = 0) -> None:
        self._key = key
        self._slot = slot

    def records(self, snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
        """The records to write, in order; the last one is the core."""
        self._slot ^= 1
        chunks = max(1, -(-len(snapshot.value) // CHUNK_BYTES))
        for i in range(chunks):
            part = snapshot.value[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
            yield f"{self._key}{CHUNK}{self._slot}/{i}".encode(), _stamp(snapshot.applied) + part
        core = {
            "v": 1,
            "applied": snapshot.applied,
            "slot": self._slot,
            "chunks": chunks,
            "crc32": zlib.crc32(snapshot.value),
        }
        yield f"{self._key}/core".encode(), orjson.dumps(core)

    def restore(self, state: Mapping[str, bytes]) -> Snapshot | None:
        """The last snapshot, None where there is none.

        Raises:
            StateError: chunks are missing or do not match the core.
        """
        raw = state.get(f"{self._key}/core")
        if raw is None:
            return None
        core: dict[str, Any] = orjson.loads(raw)
        self._slot = core["slot"]
        keys = [f"{self._key}{CHUNK}{self._slot}/{i}" for i in range(core["chunks"])]
        stamp = _stamp(core["applied"])
        missing = [key for key in keys if not state.get(key, b"").startswith(stamp)]
        if missing:
            raise StateError(f"state record {missing[0]} is missing or of another snapshot")
        value = b"".join(state[key][len(stamp) :] for key in keys)
        if zlib.crc32(value) != core["crc32"]:
            raise StateError(f"the chunks of {self._key} do not match its core record")
        return Snapshot(core["applied"], value)


def _stamp(applied: int) -> bytes:
    return applied.to_bytes(8, "big", signed=True)


def _applied(chunk: bytes) -> int:
    return int.from_bytes(chunk[:8], "big", signed=True)


def choose(key: str, older: bytes, newer: bytes) -> bytes:
    """Which of two values of a state key counts; a worker that has lost its partition may have written last.

    Of core records and snapshot chunks the one with the higher source offset; of series chunks, which only grow, the
    longer one.
    """
    if key.endswith("/core"):
        return older if orjson.loads(older)["applied"] > orjson.loads(newer)["applied"] else newer
    if CHUNK in key:
        return older if _applied(older) > _applied(newer) else newer
    return older if SERIES in key and len(older) > len(newer) else newer
