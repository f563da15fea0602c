"""Runs the peers one after another on one topic: CPU of the whole process, and their windows against brute force."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from benchmarks.data import Record
from benchmarks.peers import environment, java
from benchmarks.peers.task import Task
from benchmarks.peers.windows import Aggregate, Key, Windows, brute_force, difference, samples
from streams.errors import StreamsError
from streams.services.process import launched

ROOT: Final = Path(__file__).parents[2]
PEER_SECONDS: Final = 900.0
"""A peer that takes longer is ended and counts as failed."""

Reader = Callable[[bytes, bytes], Iterator[tuple[Key, Aggregate]]]


class Peer(NamedTuple):
    """One way to compute the windows.

    Attributes:
        name: in the table.
        module: in ``benchmarks.peers``; "java" for Kafka Streams.
        variant: what the module is told.
        requirements: packages of its environment; none: the project's own.
        windows: reads its windows from the output; None where it makes none (ceilings).
        output: topic that it writes; "": one is made for it.
    """

    name: str
    module: str
    variant: str = ""
    requirements: Sequence[str] = ()
    windows: Reader | None = None
    output: str = ""


class Source(NamedTuple):
    """A filled topic: the last records only close windows, from ``horizon_ns`` on nothing is compared."""

    topic: str
    partitions: int
    events: int
    records: int
    expected: Windows
    horizon_ns: int


def source_of(records: Sequence[Record], topic: str, partitions: int, horizon_ns: int) -> Source:
    """What is to be expected of records that are in a topic."""
    events = brute_force(sample for record in records for sample in samples(record.value))
    expected = {key: value for key, value in events.items() if key[1] < horizon_ns}
    return Source(topic, partitions, sum(r.events for r in records), len(records), expected, horizon_ns)


def run(peer: Peer, source: Source, brokers: str, cache_folder: Path) -> dict[str, Any]:
    """One peer from its start to its end.

    Returns:
        ``name``, ``events`` and either ``absent`` (why) or the figures: events per CPU second from the first event on
        and with start and stop, wall events per second, ``equal`` (None where no windows are made),
        ``differs``.
    """
    output = peer.output or f"bench.{peer.module}.{peer.variant or 'windows'}".replace("_", "-")
    row: dict[str, Any] = {"name": peer.name, "events": source.events}
    with tempfile.TemporaryDirectory(prefix="streams-peer-") as folder:
        task = Task(
            brokers, source.topic, source.partitions, output, source.events, source.records, folder, peer.variant
        )
        try:
            command = command_of(peer, task, cache_folder)
        except StreamsError as error:
            return row | {"absent": str(error)}
        if not peer.output:
            asyncio.run(create_topic(brokers, output, source.partitions))
        code, cpu_seconds = measured(command, Path(folder) / "log")
        marks = Path(folder) / "marks.json"
        if code != 0 or not marks.exists():
            return row | {"absent": f"ended with code {code}: {tail(Path(folder) / 'log')}"}
        row |= figures(json.loads(marks.read_text()), cpu_seconds)
    return row | verdict(peer, source, brokers, output)


def command_of(peer: Peer, task: Task, cache_folder: Path) -> list[str]:
    """The program of a peer; makes what it needs first.

    Raises:
        StreamsError: it cannot be had on this machine.
    """
    if peer.module == "java":
        arguments = [task.variant, task.brokers, task.topic, task.output, str(task.events), task.folder]
        return [*java.command(cache_folder), *arguments]
    python = environment.python(cache_folder, peer.requirements)
    return [str(python), "-m", f"benchmarks.peers.{peer.module}", task.text()]


def measured(command: Sequence[str], log: Path) -> tuple[int, float]:
    """Runs a program to its end; returns its exit code (minus the signal) and its CPU seconds, children included."""
    variables = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            launched(command, variables), cwd=log.parent, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    deadline = time.monotonic() + PEER_SECONDS
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.02)


def figures(marks: Mapping[str, float], cpu_seconds: float) -> dict[str, Any]:
    """Rates of a run."""
    events = int(marks["events"])
    return {
        "events": events,
        "events_per_cpu_second": round(events / marks["cpu_seconds"]),
        "events_per_cpu_second_with_start": round(events / cpu_seconds),
        "wall_events_per_second": round(events / marks["wall_seconds"]),
    }


def verdict(peer: Peer, source: Source, brokers: str, output: str) -> dict[str, Any]:
    """Whether its windows are the right ones."""
    if peer.windows is None:
        return {"equal": None, "differs": ""}
    found: dict[Key, Aggregate] = {}
    for key, value in read(brokers, output):
        found.update(peer.windows(key, value))
    differs = difference(source.expected, {k: w for k, w in found.items() if k[1] < source.horizon_ns})
    return {"equal": not differs, "differs": differs}


def tail(log: Path) -> str:
    """The last line of a log."""
    return (log.read_text(errors="replace").strip() or "no output").splitlines()[-1][:300]


async def create_topic(brokers: str, name: str, partitions: int) -> None:
    """A topic for events or windows, whose records are never too old to be kept."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"retention.ms": "-1"})])
    finally:
        await admin.close()


def read(brokers: str, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of all records of a topic, in the order of each partition; tombstones are left out."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "contest", "enable.partition.eof": True})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        left = len(partitions)
        while left:
            for message in consumer.consume(1_000, timeout=1.0):
                error = message.error()
                if error is None:
                    if message.value() is not None:
                        yield message.key() or b"", message.value()
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
    finally:
        consumer.close()
