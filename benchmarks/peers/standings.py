"""The peers, what they measured, and the ratios."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from agents_emitter.events import METRICS_TOPIC
from benchmarks.broker import broker, fill
from benchmarks.data import SECOND_NS, Record, batches, last_batches, last_singles, singles
from benchmarks.peers.contest import Peer, Source, create_topic, run, source_of
from benchmarks.peers.task import SIZE_NS
from benchmarks.peers.windows import of_faust, of_ours, of_peer, samples
from streams.services.jars import default_cache_folder
from streams.settings import Settings
from streams.topics import WINDOWS

QUIX: Final = ("quixstreams==3.28.1", "confluent-kafka==2.12.2", "rocksdict==0.3.29", "orjson==3.13.0")
BYTEWAX: Final = ("bytewax[kafka]==0.21.1", "confluent-kafka==2.16.1", "orjson==3.13.0")

OURS: Final = Peer("this project", "ours", "", (), of_ours, WINDOWS)
SHARE_RATIO: Final = 0.1
"""Stock Faust's share of the events, in a topic of its own: it would need minutes for all."""
SHARE_TOPIC: Final = "bench.share"
SINGLES: Final = (
    OURS,
    Peer("no framework: confluent-kafka, orjson, a dict", "loop", "", (), of_peer),
    Peer("Kafka Streams, Processor API, windows in memory", "java", "processor", (), of_peer),
    Peer("Kafka Streams, Processor API, RocksDB", "java", "rocksdb", (), of_peer),
    Peer("Kafka Streams, DSL with repartition", "java", "dsl", (), of_peer),
    Peer("Bytewax", "bytewax_flow", "", BYTEWAX, of_peer),
    Peer("Bytewax with recovery", "bytewax_flow", "recovery", BYTEWAX, of_peer),
    Peer("Quix Streams, apply with state", "quix", "state", QUIX, of_peer),
    Peer("Quix Streams, group_by", "quix", "group_by", QUIX, of_peer),
    Peer("ceiling: aiokafka raw", "ceilings", "aiokafka"),
    Peer("ceiling: confluent-kafka raw", "ceilings", "confluent"),
    Peer("ceiling: orjson alone", "ceilings", "orjson"),
)
SHARE: Final = (
    Peer(
        "stock Faust, Record and windowed Table",
        "faust_table",
        "",
        (),
        of_faust,
        "faust-table-windows-changelog",
    ),
)
BATCHES: Final = (
    OURS,
    Peer("Kafka Streams, Processor API, same batches", "java", "batch", (), of_peer),
)
BATCH_RATIO: Final = 10
"""Events in batches for each single event: a batch costs so much less that fewer would be over too soon."""


class Claim(NamedTuple):
    """We take at least so many times the events per CPU second of a peer.

    Attributes:
        than: how the names of the peer's rows begin.
        ratio: "ratio" (the same single events) or "ratio_of_batches" (ours in batches, theirs single).
        at_least: times.
    """

    than: str
    ratio: str
    at_least: float


CLAIMS: Final = (
    Claim("stock Faust", "ratio", 150),
    Claim("Quix Streams", "ratio", 10),
    Claim("Bytewax", "ratio", 8),
    Claim("Kafka Streams", "ratio", 3.5),
    Claim("no framework", "ratio", 1),
    Claim("Kafka Streams", "ratio_of_batches", 35),
)
COLUMNS: Final = (("CPU s", 12), ("with start", 12), ("wall s", 12), ("ours is", 12))
CLOSING_NS: Final = 40 * SECOND_NS
"""After the start of the last window: past its end, any lateness and any grace of the peers."""
PEERS: Final = {"single": SINGLES, "share": SHARE, "batch": BATCHES}


def measure(events: int, partitions: int) -> Iterator[dict[str, Any]]:
    """All peers, a row each as they end.

    Two brokers one after the other: single events and batches of ours go to the same topic.

    Args:
        events: single events; stock Faust reads a tenth of them, batches hold ten times as many.
        partitions: of the topic.

    Yields:
        What :func:`benchmarks.peers.contest.run` returns, and ``input``: "single", "share" or "batch".
    """
    cache_folder = default_cache_folder(os.environ)
    for brokers, kind, source in sources(events, partitions):
        for peer in PEERS[kind]:
            yield {"input": kind, **run(peer, source, brokers, cache_folder)}


def sources(events: int, partitions: int) -> Iterator[tuple[str, str, Source]]:
    """Broker, kind and source: a filled topic each."""
    share = int(events * SHARE_RATIO)
    with broker() as brokers:
        yield brokers, "single", filled(brokers, ended_singles(events), METRICS_TOPIC, partitions)
        asyncio.run(create_topic(brokers, SHARE_TOPIC, partitions))
        yield brokers, "share", filled(brokers, ended_singles(share), SHARE_TOPIC, partitions)
    with broker() as brokers:
        yield brokers, "batch", filled(brokers, ended_batches(events * BATCH_RATIO), METRICS_TOPIC, partitions)


def ended_singles(events: int) -> list[Record]:
    """Single events, then one of each series that closes all windows."""
    records = list(singles(events))
    return [*records, *last_singles(closing_ns(records))]


def ended_batches(events: int) -> list[Record]:
    """Batches, then one of each agent that closes all windows."""
    records = list(batches(events))
    return [*records, *last_batches(closing_ns(records))]


def closing_ns(records: Sequence[Record]) -> int:
    """A time at which the windows of all records are over."""
    last_ns = max(sample.time_ns for sample in samples(records[-1].value))
    return last_ns - last_ns % SIZE_NS + CLOSING_NS


def filled(brokers: str, records: Sequence[Record], topic: str, partitions: int) -> Source:
    """Produces records and works out what is to be expected of them."""
    settings = Settings(brokers=brokers, partitions=partitions)
    fill(settings, [record._replace(topic=topic) for record in records])
    horizon_ns = max(sample.time_ns for sample in samples(records[-1].value))
    return source_of(records, topic, partitions, horizon_ns - horizon_ns % SIZE_NS)


def ratios(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many times as many events per CPU second we take, from the first event on.

    Returns:
        The rows with ``ratio``: to our single events, or to our batches where a row was fed batches; and with
        ``ratio_of_batches``: our batches to a row that was fed single events. None where one of the two is absent.
    """
    ours = {r["input"]: r.get("events_per_cpu_second") for r in rows if r["name"] == OURS.name}

    def times(kind: str, row: Mapping[str, Any]) -> float | None:
        base, rate = ours.get(kind), row.get("events_per_cpu_second")
        return round(base / rate, 2) if base and rate else None

    return [
        {
            **row,
            "ratio": times("batch" if row["input"] == "batch" else "single", row),
            "ratio_of_batches": None if row["input"] == "batch" else times("batch", row),
        }
        for row in rows
    ]


def claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What we promise, against the best variant of each peer.

    Args:
        rows: of :func:`ratios`.

    Returns:
        The claim's fields, ``measured`` (None: the peer is absent) and ``holds``.
    """
    found = []
    for claim in CLAIMS:
        measured = [
            r[claim.ratio] for r in rows if r["name"].startswith(claim.than) and r["input"] in {"single", "share"}
        ]
        ratio = min((m for m in measured if m is not None), default=None)
        holds = ratio is not None and ratio >= claim.at_least
        found.append({**claim._asdict(), "measured": ratio, "holds": holds})
    return found


def table_row(row: Mapping[str, Any]) -> str:
    """A line for people."""
    name = f"{row['name']} [{row['input']}]"
    if "absent" in row:
        return f"{name:58} absent: {row['absent']}"
    windows = {None: "-", True: "equal", False: f"DIFFER: {row['differs']}"}[row["equal"]]
    numbers = f"{row['events_per_cpu_second']:>12,}{row['events_per_cpu_second_with_start']:>12,}"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} x"
    return f"{name:58}{numbers}{row['wall_events_per_second']:>12,}{ratio:>12}  {windows}"


def heading() -> str:
    """The line above the table."""
    columns = "".join(f"{title:>{width}}" for title, width in COLUMNS)
    return f"{'events (samples) per':58}{columns}  windows"


def claim_row(claim: Mapping[str, Any]) -> str:
    """A line for people."""
    ours = "our single events" if claim["ratio"] == "ratio" else "our batches, its single events"
    measured = "absent" if claim["measured"] is None else f"{claim['measured']:.2f}"
    verdict = "" if claim["measured"] is None else "  holds" if claim["holds"] else "  DOES NOT HOLD"
    return f"{claim['than']:14} {ours:32} {measured:>8} x, at least {claim['at_least']:g}{verdict}"
