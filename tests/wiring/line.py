"""A role's part without Faust and without a broker: topics as lists, and a crash after any delivery.

As in the runtime, the part computes ahead while what it said before is delivered: results, then the checkpoint's
records, then ``done``. A crash loses the part and all that was not delivered; the topics stay.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from streams import topics
from streams.app.blob import choose
from streams.app.outbox import Step
from streams.app.part import Part
from streams.app.sink import Output, singly
from streams.domain.source import SourceLog


class Record(NamedTuple):
    """A record as aiokafka gives it, as far as parts read it."""

    value: bytes | None
    offset: int
    timestamp: int
    key: bytes | None = None
    partition: int = 0
    topic: str = topics.METRICS
    headers: Sequence[tuple[str, bytes]] = ()


class Crash(Exception):
    """The process is gone."""


class Line:
    """One source partition, its part and the topics around it.

    Args:
        source: the log, offsets ascending from 0; :attr:`begin` is the first that can still be read, and a log that is
            put in its place has another :attr:`epoch`.
        make: a new part.
        crashes: after how many deliveries (records and ``done``) each life ends; the life after the last has no end.
    """

    def __init__(self, source: Sequence[Record], make: Callable[[], Part], crashes: Iterable[int] = ()) -> None:
        self.source, self._make, self._crashes = source, make, iter(crashes)
        self.topics: dict[str, list[Record]] = defaultdict(list)
        self.committed = 0
        self.lives = 0
        self.epoch, self.begin, self.partitions = "first", 0, 1
        self.part = make()
        self._left: int | None = None

    def run(self, run_lengths: Iterator[int], depth: int) -> None:
        """Applies the log in runs of these lengths, up to ``depth`` steps ahead of their delivery."""
        while True:
            self._left = next(self._crashes, None)
            self.lives += 1
            try:
                self._live(run_lengths, depth)
            except Crash:
                continue
            return

    def _live(self, run_lengths: Iterator[int], depth: int) -> None:
        at = self._restore()
        waiting: deque[Step] = deque()
        while at < len(self.source):
            length = next(run_lengths)
            waiting += self.part.process(self.source[at : at + length], 0)
            at += length
            while len(waiting) > depth:
                self._deliver(waiting.popleft())
            self._commit()
        while waiting:
            self._deliver(waiting.popleft())
        self._commit()

    def _restore(self) -> int:
        self.part = self._make()
        log = SourceLog(self.epoch, self.partitions, self.begin, len(self.source))
        restored = self.part.restore(self.state(), log)
        if restored.windows_offset is not None:
            for record in self.topics[topics.WINDOWS][restored.windows_offset :]:
                self.part.read_back(record)  # type: ignore[arg-type]
        if restored.seat is not None and restored.seat.anew:
            self.committed = 0
            self._deliver(self.part.save())
            self._commit()
        return self.committed if restored.offset is None else restored.offset

    def state(self) -> dict[str, bytes]:
        """The state topic as a restart reads it."""
        state: dict[str, bytes] = {}
        for record in self.topics[topics.STATE]:
            key = (record.key or b"").decode()
            if record.value is None:
                state.pop(key, None)
            else:
                state[key] = choose(key, state[key], record.value) if key in state else record.value
        return state

    def _deliver(self, step: Step) -> None:
        offsets = [self._append(output) for output in singly(step.results)]
        for output in step.checkpoint:
            self._append(output)
        self._die_in_time()
        step.done(offsets)

    def _append(self, output: Output) -> int:
        self._die_in_time()
        log = self.topics[output.topic]
        offset = len(log)
        log.append(Record(output.value, offset, 0, output.key, output.partition or 0, output.topic, output.headers))
        if output.topic == topics.WINDOWS:  # other source partitions publish here too
            log.append(Record(b"{}", offset + 1, 0, None, 0, output.topic))
        return offset

    def _die_in_time(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Crash

    def _commit(self) -> None:
        if self.part.committable is not None:
            assert self.part.committable >= self.committed, "a commit went back"
            self.committed = self.part.committable

    def contents(self, topic: str) -> dict[bytes, bytes]:
        """Key to value; two records of one key must not differ."""
        found: dict[bytes, bytes] = {}
        for record in self.topics[topic]:
            if record.key is not None and record.value is not None:
                assert found.setdefault(record.key, record.value) == record.value, record.key
        return found
