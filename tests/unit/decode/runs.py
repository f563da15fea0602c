"""Records in memory, and what decoding made of them in a form that does not depend on slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings

from agents_emitter import events
from streams.decode.run import HeadCache, decode_run
from streams.decode.skeleton import Matches, Skeletons
from streams.domain.block import Block
from streams.domain.columns import Columns
from streams.domain.series import Series, SeriesTable

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: how fast a busy machine is must not decide them."""

SAMPLES = Path(__file__).parents[2] / "samples"
NOW_NS = 1_700_000_000_000_000_000
RESOURCE = {"service.name": "planner", "service.instance.id": "planner-1"}


class Row(NamedTuple):
    """A Kafka record."""

    value: bytes | None
    key: bytes | None = None
    offset: int = 0
    timestamp: int = NOW_NS // 1_000_000


def match(skeletons: Skeletons, *raws: bytes) -> Matches:
    """What a table of skeletons knows of some records."""
    block = Block.of([Row(raw) for raw in raws])
    return skeletons.match(block.text, block.start, block.end)


class Facts(NamedTuple):
    """A decoded run with series in place of slots and reasons in place of details."""

    samples: list[tuple[int, Series, int, float]]
    cumulatives: list[tuple[int, Series, int, int, float]]
    aggregates: list[tuple[Any, ...]]
    batches: list[tuple[int, str, int, int]]
    ticks: list[tuple[int, int]]
    rejected: list[tuple[int, str, int]]
    events: list[int]

    def only(self) -> tuple[Series, float]:
        """Series and value of the one sample."""
        ((_, series, _, value),) = self.samples
        return series, value

    def reasons(self) -> dict[str, int]:
        """Events rejected, by reason."""
        found: dict[str, int] = {}
        for _, reason, count in self.rejected:
            found[reason] = found.get(reason, 0) + count
        return found


def facts(columns: Columns, table: SeriesTable) -> Facts:
    assert (columns.record[1:] >= columns.record[:-1]).all()
    rows = table.rows
    return Facts(
        sorted(
            zip(
                columns.record.tolist(),
                [rows[slot] for slot in columns.slot],
                columns.time_ns.tolist(),
                columns.value.tolist(),
                strict=True,
            ),
            key=str,
        ),
        sorted(((p.record, rows[p.slot], *p[2:]) for p in columns.cumulatives), key=str),
        sorted(
            (
                (
                    p.record,
                    rows[p.slot],
                    p.time_ns,
                    p.start_ns,
                    p.cumulative,
                    p.count,
                    p.sum,
                    p.minimum,
                    p.maximum,
                    p.values,
                    p.weights,
                )
                for p in columns.aggregates
            ),
            key=str,
        ),
        [tuple(batch) for batch in columns.batches],
        [tuple(tick) for tick in columns.ticks],
        sorted((r.record, r.reason, r.events) for r in columns.rejected),
        columns.events.tolist(),
    )


class Decoder:
    """A table and a cache that live through several runs, as in a worker."""

    def __init__(self, cache: HeadCache | None = None, hint: str = "") -> None:
        self.table = SeriesTable()
        self.cache = cache or HeadCache()
        self.hint = hint

    def run(self, *values: bytes | None, key: bytes | None = b"k") -> Facts:
        rows = [Row(value, key, offset) for offset, value in enumerate(values)]
        return facts(decode_run(rows, self.table, self.cache, hint=self.hint), self.table)


def decode(*values: bytes | None, hint: str = "") -> Facts:
    """One run on an empty cache."""
    return Decoder(hint=hint).run(*values)


def one_by_one(*values: bytes | None, hint: str = "") -> Facts:
    """Each record alone, always on an empty cache: nothing is ever recognised by what came before."""
    merged = Facts([], [], [], [], [], [], [])
    for position, value in enumerate(values):
        alone = decode(value, hint=hint)
        for into, found in zip(merged[:-1], alone[:-1], strict=True):
            into.extend((position, *entry[1:]) for entry in found)
        merged.events.extend(alone.events)
    return merged._replace(
        samples=sorted(merged.samples, key=str),
        cumulatives=sorted(merged.cumulatives, key=str),
        aggregates=sorted(merged.aggregates, key=str),
        rejected=sorted(merged.rejected),
    )


def head(*series: events.SeriesDefinition, resource: dict[str, str] | None = None, producer: str = "p-1") -> bytes:
    return events.encode_metric_head(resource or RESOURCE, series, producer)


def batch(
    front: bytes,
    samples: list[tuple[int, int, float]],
    *,
    seq: int = 0,
    base_ns: int = NOW_NS,
    columns: events.Columns = "packed",
) -> bytes:
    """A batch of (series, offset, value)."""
    return events.encode_metric_batch(
        front,
        seq=seq,
        dropped_total=0,
        base_time_unix_nano=base_ns,
        index=[s[0] for s in samples],
        offset_ns=[s[1] for s in samples],
        value=[s[2] for s in samples],
        columns=columns,
    )


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()
