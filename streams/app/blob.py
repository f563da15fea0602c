"""Snapshots of any size as records of the state topic, replaced atomically.

A snapshot is cut into chunks under one of two alternating slots of its writer; its core record, written last, says how
many and holds a checksum. A crash between leaves the other slot's snapshot. Each life of a part is a writer with slots
of its own: what a worker still writes after it has lost its partition, or had written and not completed before it
died, cannot spoil what another one writes. The first snapshot of a new writer deletes those of others. Of several
snapshots :meth:`BlobWriter.snapshots` says which one counts.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from streams.domain.source import Source
from streams.domain.upgrade import upgraded
from streams.errors import StateDamaged

FORMAT: Final = 2
"""Of a core record. 1 had no source."""
SERIES: Final = "/series/"
CORE: Final = "/core"
CHUNK_BYTES: Final = 4 * 1_048_576


class Snapshot(NamedTuple):
    """A snapshot, the source offset up to which everything is in it, and the log that the offset belongs to."""

    applied: int
    value: bytes
    source: Source = Source()


class BlobWriter:
    """Writes one snapshot after the other under a key.

    Args:
        key: what it belongs to; no other writer's key may begin with ``key/``.
        writer: unique for each life of a part; a new random one by default.
    """

    def __init__(self, key: str, writer: str = "") -> None:
        self._key = key
        self.writer = writer or uuid.uuid4().hex[:8]
        self._slot = 0
        self._others: list[str] = []

    def records(self, snapshot: Snapshot) -> Iterator[tuple[bytes, bytes | None]]:
        """The records to write, in order: chunks, the core that makes them valid, and what may be deleted then."""
        self._slot ^= 1
        base = f"{self._key}/{self.writer}.{self._slot}"
        chunks = max(1, -(-len(snapshot.value) // CHUNK_BYTES))
        for i in range(chunks):
            yield f"{base}/{i}".encode(), snapshot.value[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
        core = {
            "v": FORMAT,
            "applied": snapshot.applied,
            "chunks": chunks,
            "crc32": zlib.crc32(snapshot.value),
            "source": snapshot.source.to_data(),
        }
        yield f"{base}{CORE}".encode(), orjson.dumps(core)
        others, self._others = self._others, []
        yield from ((key.encode(), None) for key in others)

    def restore(self, state: Mapping[str, bytes], epoch: str = "") -> Snapshot | None:
        """The complete snapshot that counts, None where there is none; see :meth:`snapshots`.

        Raises:
            StateVersionError: one was written by a newer version of this code.
            StateError: there are snapshots, but of none are all chunks there and as they were written.
        """
        return next(self.snapshots(state, epoch), None)

    def snapshots(self, state: Mapping[str, bytes], epoch: str = "") -> Iterator[Snapshot]:
        """All complete snapshots, the one that counts first.

        It is one of the source's present ``epoch``, where there is one; then of the latest era; then of the highest
        source offset. Offsets of other eras and other logs are not comparable.

        Raises:
            StateVersionError, StateError: see :meth:`restore`.
        """
        own = [key for key in state if key.startswith(f"{self._key}/")]
        self._others = sorted(own)
        cores = [(read_core(key, state[key]), key.removesuffix(CORE)) for key in own if key.endswith(CORE)]
        found = False
        for core, base in sorted(cores, key=lambda pair: _rank(pair[0], epoch)):
            value = _complete(core, base, state)
            if value is not None:
                yield Snapshot(core["applied"], value, Source.from_data(core["source"]))
                found = True
        if cores and not found:
            raise StateDamaged(f"no snapshot of {self._key} is complete: delete the state topic to begin anew")


def read_core(key: str, record: bytes) -> dict[str, Any]:
    """A core record of any version, as the newest has it.

    Raises:
        StateVersionError: written by a newer version of this code.
    """
    return upgraded(key, orjson.loads(record), FORMAT, {1: lambda core: {**core, "source": Source().to_data()}})


def _rank(core: Mapping[str, Any], epoch: str) -> tuple[bool, int, int]:
    return core["source"]["epoch"] != epoch, -core["source"]["era"], -core["applied"]


def _complete(core: Mapping[str, Any], base: str, state: Mapping[str, bytes]) -> bytes | None:
    chunks = [state.get(f"{base}/{i}") for i in range(core["chunks"])]
    value = b"".join(chunk for chunk in chunks if chunk is not None)
    return value if None not in chunks and zlib.crc32(value) == core["crc32"] else None


def choose(key: str, older: bytes, newer: bytes) -> bytes:
    """Which of two values of a state key counts: the newer; of series chunks, which only grow, the longer one.

    Versions whose tables had no names had series chunks that two writers had in common: a worker that had lost its
    partition may have written last.
    """
    return older if SERIES in key and len(older) > len(newer) else newer
