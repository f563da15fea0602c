"""A window operator as records of the state topic, and back.

One core record per source partition, plus its series in chunks of :data:`CHUNK` that are written only when they change
(slots are never reused, so a chunk only grows; a smaller table is a new generation with chunks of its own). Each life
of a partition writes chunks of its own: another one numbers the same series otherwise, because a run is not decoded
record by record. Chunks are written before the core that counts their rows: a crash between leaves rows that the core
does not count, and they are written again. A checksum in the core says that they are its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from streams.domain.series import Series, shared_pairs
from streams.domain.upgrade import Upgrade, upgraded
from streams.errors import StateDamaged
from streams.window.fates import Fates
from streams.window.operator import WindowOperator

FORMAT: Final = 2
CHUNK: Final = 1000


@dataclass(frozen=True)
class Resume:
    """Where to go on after a restart.

    Attributes:
        applied: highest source offset applied. held: first offset to read again.
        needed_from_ns: oldest base window to read back from ``agents.windows``.
        windows_offset: where in ``agents.windows`` to start reading for it.
        ahead: slots whose running totals cannot go on where the log does not give again what came after ``held``.
        incomplete_ns: see :func:`checkpoint`.
    """

    applied: int
    held: int
    needed_from_ns: int
    windows_offset: int
    ahead: tuple[int, ...]
    incomplete_ns: tuple[int, int]


class Checkpoint(NamedTuple):
    """What to write, in this order: chunks of series, the core, and then the deletion of keys that nothing needs."""

    chunks: list[tuple[bytes, bytes]]
    core: bytes
    gone: list[bytes]


def prefix(topic: str, partition: int) -> str:
    """What the keys of one source partition start with."""
    return f"window/{topic}/{partition}/"


class SeriesLog:
    """What of a partition's series this life has written to the state topic.

    Attributes:
        table: names the chunks: of this life and one generation alone. rows: how many series they hold. crc32: of all.
    """

    def __init__(self, topic: str, partition: int, writer: str = "") -> None:
        """``writer`` is unique for each life of a partition."""
        self._base = f"{prefix(topic, partition)}series/"
        self._writer = writer
        self._others: list[bytes] = []
        self.table, self.rows, self.crc32 = "", 0, 0

    def begin(self, generation: int) -> list[bytes]:
        """Begins the chunks of a generation; returns the keys that nothing needs when they and a core are written."""
        table = f"{self._writer}.{generation}"
        if table == self.table:
            return []
        gone = self._others + [f"{self._base}{self.table}/{i}".encode() for i in range(-(-self.rows // CHUNK))]
        self._others = []
        self.table, self.rows, self.crc32 = table, 0, 0
        return gone

    def write(self, rows: Sequence[Series]) -> Iterator[tuple[bytes, bytes]]:
        """The chunks that have changed since the last call."""
        first, grown = self.rows // CHUNK, len(rows) > self.rows
        self.crc32 = _crc32(rows[self.rows :], self.crc32)
        self.rows = len(rows)
        for chunk in range(first, -(-len(rows) // CHUNK)) if grown else ():
            part = rows[chunk * CHUNK : (chunk + 1) * CHUNK]
            yield f"{self._base}{self.table}/{chunk}".encode(), orjson.dumps([_row(series) for series in part])

    def read(self, records: Mapping[str, bytes], table: str, count: int, crc32: int | None) -> list[Series]:
        """The series that a core counts, from whoever wrote them.

        Raises:
            StateError: some are missing, or they are not those that were written with the core.
        """
        self._others = sorted(key.encode() for key in records if key.startswith(self._base))
        rows: list[Series] = []
        pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
        for chunk in range(-(-count // CHUNK)):
            key, wanted = f"{self._base}{table}/{chunk}", min(CHUNK, count - chunk * CHUNK)
            raw = records.get(key)
            part = orjson.loads(raw)[:wanted] if raw is not None else []
            if len(part) < wanted:
                raise StateDamaged(f"state record {key} has {len(part)} of {wanted} series")
            rows += [Series(name, unit, kind, shared_pairs(labels, pairs)) for name, unit, kind, labels in part]
        if crc32 not in (None, _crc32(rows, 0)):
            raise StateDamaged(f"state records {self._base}{table} are not those of the checkpoint")
        return rows


def _crc32(rows: Sequence[Series], before: int) -> int:
    """The checksum goes on from series to series: a table grows at its end."""
    for row in rows:
        before = crc32(orjson.dumps(_row(row)), before)
    return before


def _row(series: Series) -> list[Any]:
    return [series.name, series.unit, series.kind, series.labels]


def checkpoint(
    operator: WindowOperator,
    series: SeriesLog,
    *,
    windows_offset: int = 0,
    incomplete_ns: tuple[int, int] = (0, 0),
) -> Checkpoint:
    """What to write.

    Args:
        operator: settled up to its held-back offset by this call.
        series: what earlier checkpoints have written; brought up to date.
        windows_offset: offset in ``agents.windows`` of the oldest base window that is still needed.
        incomplete_ns: windows that end after the first and start at or before the second time may lack events;
            the second is -1 until a record says it.
    """
    held = operator.held_offset
    operator.sequences.settle(held)
    operator.cumulatives.settle(held)
    gone = series.begin(operator.generation)
    chunks = list(series.write(operator.table.rows))
    core = {
        "v": FORMAT,
        "applied": operator.applied,
        "held": held,
        "watermark_ns": operator.watermark_ns,
        "last_event_ns": operator.last_event_ns,
        "windows_offset": windows_offset,
        "series": len(operator.table.rows),
        "table": series.table,
        "series_crc32": series.crc32,
        "generation": operator.generation,
        "overflow": [[name, kind, slot] for (name, kind), slot in operator.table.overflow_slots.items()],
        "fates": operator.fates.snapshot(),
        "sequences": operator.sequences.snapshot(),
        "cumulatives": operator.cumulatives.snapshot(),
        "sources": operator.sources.snapshot(),
        "ahead": operator.cumulatives.ahead,
        "incomplete_ns": incomplete_ns,
    }
    return Checkpoint(chunks, orjson.dumps(core), gone)


def _from_1(core: dict[str, Any]) -> dict[str, Any]:
    """Tables had no names at first, and no checksum; which totals are ahead was not noted, so all may be."""
    ahead = [slot for slot, *_ in core["cumulatives"]]
    table = core.get("table", str(core["generation"]))
    return {**core, "table": table, "series_crc32": None, "ahead": ahead, "incomplete_ns": (0, 0)}


UPGRADES: Final[Mapping[int, Upgrade]] = {1: _from_1}
"""From each format to the next."""


def restore(operator: WindowOperator, series: SeriesLog, core_record: bytes, records: Mapping[str, bytes]) -> Resume:
    """Fills a new operator from the state topic's records of its partition.

    It stands as after the checkpoint in a log that is as it was; :func:`streams.domain.source.take_seat` says what to
    do when it is not.

    Args:
        operator: new, of the same topic and partition.
        series: new; learns what others have written.
        core_record: the core of the checkpoint, of any format up to :data:`FORMAT`.
        records: key to value of the chunks; other keys are ignored.

    Returns:
        Where to go on.

    Raises:
        StateVersionError: written by a newer version of this code.
        StateError: a chunk of series is missing or of another checkpoint.
    """
    what = f"state of {operator.topic}/{operator.partition}"
    core = upgraded(what, orjson.loads(core_record), FORMAT, UPGRADES)
    operator.generation = core["generation"]
    for row in series.read(records, core["table"], core["series"], core["series_crc32"]):
        operator.table.add(row)
    operator.table.overflow_slots = {(name, kind): slot for name, kind, slot in core["overflow"]}
    operator.fates = Fates.restore(core["fates"])
    operator.sequences.restore(core["sequences"])
    operator.cumulatives.restore(core["cumulatives"])
    operator.sources.restore(core.get("sources", ()))  # cores were written without it at first
    operator.watermark_ns, operator.last_event_ns = core["watermark_ns"], core["last_event_ns"]
    operator.counted, operator.applied = core["applied"], core["held"] - 1
    incomplete = (core["incomplete_ns"][0], core["incomplete_ns"][1])
    ahead = tuple(core["ahead"])
    return Resume(core["applied"], core["held"], operator.needed_from_ns, core["windows_offset"], ahead, incomplete)
