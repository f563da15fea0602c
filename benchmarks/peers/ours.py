"""This project: the metrics role on the whole path, as ``benchmarks.throughput`` runs it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from benchmarks.peers.task import parse, write
from benchmarks.throughput import consume
from streams.settings import Settings


def main(text: str) -> None:
    task = parse(text)
    figures = asyncio.run(consume(Settings(brokers=task.brokers, partitions=task.partitions), task.events))
    marks = Path(task.folder) / "marks.json"
    write(marks, int(figures["events"]), figures["cpu_seconds"], figures["wall_seconds"])


if __name__ == "__main__":
    main(sys.argv[1])
