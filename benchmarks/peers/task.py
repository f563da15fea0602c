"""What a peer is told and what it reports. Runs in every peer's environment: the standard library only.

The runner starts ``python -m benchmarks.peers.NAME TASK``; the peer leaves ``marks.json`` in its work folder.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

SIZE_NS: Final = 10_000_000_000
"""Length of the windows."""
LATENESS_NS: Final = 5_000_000_000
"""How long a window waits for late events where a peer can be told; our default."""


class Task(NamedTuple):
    """One run of one peer.

    Attributes:
        brokers: "HOST:PORT".
        topic: where the events are, from the first record on; ``partitions`` of it.
        output: topic for windows, it exists.
        events: how many events there are; records: how many records they are in.
        folder: work folder of its own, for state and ``marks.json``.
        variant: which way, where a peer has several.
    """

    brokers: str
    topic: str
    partitions: int
    output: str
    events: int
    records: int
    folder: str
    variant: str = ""

    def text(self) -> str:
        """The command line argument."""
        return json.dumps(self._asdict())


def parse(text: str) -> Task:
    """The inverse of :meth:`Task.text`."""
    return Task(**json.loads(text))


class Marks:
    """CPU (all threads of this process) and wall time from the first event to the end."""

    def __init__(self, task: Task) -> None:
        self._path = Path(task.folder) / "marks.json"
        self._cpu = self._wall = 0.0
        self.seen = 0

    def first(self) -> None:
        """The first event is there."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def count(self) -> int:
        """One event more; the first starts the clocks."""
        if not self.seen:
            self.first()
        self.seen += 1
        return self.seen

    def last(self, events: int, waited_seconds: float = 0.0) -> None:
        """All is done: windows delivered, offsets committed. ``waited_seconds``: for more that never came."""
        wall_seconds = time.perf_counter() - self._wall - waited_seconds
        write(self._path, events, time.process_time() - self._cpu, wall_seconds)


def write(path: Path, events: int, cpu_seconds: float, wall_seconds: float) -> None:
    """``marks.json``."""
    path.write_text(json.dumps({"events": events, "cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds}))


def series_of(event: dict[str, Any]) -> str:
    """The series of an event, as text."""
    return f"{event['resource']['gen_ai.agent.id']}|{event['name']}|{event['labels']['operation']}"


def window(series: str, start_ns: int, count: int, total: float, low: float, high: float) -> dict[str, Any]:
    """A window as the peers write it, to be encoded as JSON."""
    return {"series": series, "start_ns": start_ns, "count": count, "sum": total, "min": low, "max": high}
