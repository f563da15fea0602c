"""A window operator as records of the state topic, and back.

One core record per source partition, plus its series in chunks of :data:`CHUNK` that are written only when they change
(slots are never reused, so a chunk only grows; a smaller table is a new generation with chunks of its own). Chunks are
written before the core that counts their rows: a crash between leaves rows that the core does not count, and they are
written again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.domain.series import Series
from streams.errors import StateError, StateVersionError
from streams.window.fates import Fates
from streams.window.operator import WindowOperator

FORMAT: Final = 1
CHUNK: Final = 1000


@dataclass(frozen=True)
class Resume:
    """Where to go on after a restart.

    Attributes:
        applied: highest source offset applied. held: first offset to read again.
        needed_from_ns: oldest base window to read back from ``agents.windows``.
        windows_offset: where in ``agents.windows`` to start reading for it.
        epoch: id of the source topic when the checkpoint was written.
    """

    applied: int
    held: int
    needed_from_ns: int
    windows_offset: int
    epoch: str


def prefix(topic: str, partition: int) -> str:
    """What the keys of one source partition start with."""
    return f"window/{topic}/{partition}/"


def series_prefix(topic: str, partition: int) -> str:
    """What the keys of the chunks that hold the series of one source partition start with."""
    return f"{prefix(topic, partition)}series/"


def series_keys(topic: str, partition: int, table: str, rows: int) -> list[bytes]:
    """Keys of the chunks that hold the series of a table."""
    return [f"{series_prefix(topic, partition)}{table}/{i}".encode() for i in range(-(-rows // CHUNK))]


def checkpoint(
    operator: WindowOperator, *, epoch: str, windows_offset: int, table: str, rows_written: int
) -> Iterator[tuple[bytes, bytes]]:
    """The records to write, in order; the last one is the core.

    Args:
        operator: settled up to its held-back offset by this call.
        epoch: id of the source topic.
        windows_offset: offset in ``agents.windows`` of the oldest base window that is still needed.
        table: a name for this numbering of the series: of this operator and this generation alone. Another life numbers
            the same series otherwise, because a run is not decoded record by record.
        rows_written: how many series of this table earlier checkpoints have written.
    """
    held = operator.held_offset
    operator.sequences.settle(held)
    operator.cumulatives.settle(held)
    rows = operator.table.rows
    keys = series_keys(operator.topic, operator.partition, table, len(rows))
    for chunk in range(rows_written // CHUNK, -(-len(rows) // CHUNK)) if len(rows) > rows_written else ():
        part = rows[chunk * CHUNK : (chunk + 1) * CHUNK]
        body = [[s.name, s.unit, s.kind, s.labels] for s in part]
        yield keys[chunk], orjson.dumps(body)
    core = {
        "v": FORMAT,
        "epoch": epoch,
        "applied": operator.applied,
        "held": held,
        "watermark_ns": operator.watermark_ns,
        "last_event_ns": operator.last_event_ns,
        "windows_offset": windows_offset,
        "series": len(rows),
        "generation": operator.generation,
        "table": table,
        "overflow": [[name, kind, slot] for (name, kind), slot in operator.table.overflow_slots.items()],
        "fates": operator.fates.snapshot(),
        "sequences": operator.sequences.snapshot(),
        "cumulatives": operator.cumulatives.snapshot(),
    }
    yield f"{prefix(operator.topic, operator.partition)}core".encode(), orjson.dumps(core)


def has_series(topic: str, partition: int, core_record: bytes, records: Mapping[str, bytes]) -> bool:
    """Whether all chunks of series that a checkpoint needs are there: of one that a worker wrote after it had lost its
    partition the next owner may have deleted some.
    """
    core = orjson.loads(core_record)
    return all(key.decode() in records for key in series_keys(topic, partition, _table(core), core["series"]))


def _table(core: Mapping[str, Any]) -> str:
    return str(core.get("table", core["generation"]))  # before tables had names


def restore(operator: WindowOperator, core_record: bytes, records: Mapping[str, bytes]) -> Resume:
    """Fills a new operator from the state topic's records of its partition.

    Args:
        operator: new, of the same topic and partition.
        core_record: the core of the checkpoint.
        records: key to value of the chunks; other keys are ignored.

    Returns:
        Where to go on.

    Raises:
        StateVersionError: written by a newer version of this code.
        StateError: a chunk of series is missing.
    """
    core: dict[str, Any] = orjson.loads(core_record)
    if core["v"] > FORMAT:
        raise StateVersionError(
            f"state of {operator.topic}/{operator.partition} has format {core['v']}, this version reads up "
            f"to {FORMAT}: upgrade this worker, or delete the state topic to start from the log's beginning"
        )
    operator.generation = core["generation"]
    for series in _rows(f"{series_prefix(operator.topic, operator.partition)}{_table(core)}", records, core["series"]):
        operator.table.slots[series] = len(operator.table.rows)
        operator.table.rows.append(series)
    operator.table.overflow_slots = {(name, kind): slot for name, kind, slot in core["overflow"]}
    operator.fates = Fates.restore(core["fates"])
    operator.sequences.restore(core["sequences"])
    operator.cumulatives.restore(core["cumulatives"])
    operator.watermark_ns, operator.last_event_ns = core["watermark_ns"], core["last_event_ns"]
    operator.counted, operator.applied = core["applied"], core["held"] - 1
    return Resume(core["applied"], core["held"], operator.needed_from_ns, core["windows_offset"], core["epoch"])


def _rows(base: str, records: Mapping[str, bytes], count: int) -> Iterator[Series]:
    for chunk in range(-(-count // CHUNK)):
        raw = records.get(f"{base}/{chunk}")
        part = orjson.loads(raw) if raw is not None else []
        wanted = min(CHUNK, count - chunk * CHUNK)
        if len(part) < wanted:
            raise StateError(f"state record {base}/{chunk} has {len(part)} of {wanted} series")
        for name, unit, kind, labels in part[:wanted]:
            yield Series(name, unit, kind, tuple((k, v) for k, v in labels))
