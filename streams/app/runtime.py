"""Runs a role's partitions on Faust: restores them, feeds them, delivers and commits what they say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents_emitter.events import encode_tick
from streams import topics
from streams.app.garbage import building
from streams.app.outbox import Outbox, untraced
from streams.app.part import Part, Restored
from streams.app.redact import redactor_of
from streams.app.sink import Output, Sink
from streams.app.sourceguard import SourceGuard
from streams.app.sourcelog import tell, tell_loss, tell_missing
from streams.app.state import Choose, read_state
from streams.app.topicids import TopicIds
from streams.domain.block import Block
from streams.domain.source import STATE_MISSING, SourceLog
from streams.errors import ConfigurationError, StateEpochError, StateError
from streams.publish.health import Health
from streams.publish.progress import Progress
from streams.publish.selftrace import SelfTracer
from streams.records.cluster import cluster_of
from streams.records.end import read_to_end
from streams.settings import Settings

log = logging.getLogger(__name__)
SLOW_TICK_SECONDS: Final = 1.0
TICK_GRACE_SECONDS: Final = 10.0
"""After the broker was away, agents' buffers arrive first: no tick may overtake them."""


class Runtime:
    """One role in one worker.

    Attributes:
        parts: the partitions this worker owns. ready: they are restored and the flow may go on.
        last_progress: monotonic seconds of the last processed run, or of the last look that found nothing to do.
    """

    def __init__(
        self,
        app: Any,
        role: str,
        sources: Sequence[str],
        make: Callable[[str, int], Part],
        choose: Choose,
        settings: Settings,
        health: Health,
        release: Callable[[Part], None] = lambda _: None,
        tracer: SelfTracer | None = None,
        *,
        clock_ns: Callable[[], int] = time.time_ns,  # noqa: TID251 - the shell's default clock
        monotonic: Callable[[], float] = time.monotonic,
        ids: TopicIds | None = None,
    ) -> None:
        self.app, self.role, self.sources = app, role, tuple(sources)
        self._make, self._choose, self._settings = make, choose, settings
        self._health, self._release, self._tracer = health, release, tracer
        self._clock_ns, self._monotonic = clock_ns, monotonic
        largest_bytes = topics.BY_NAME[topics.STATE].max_record_bytes - 4096
        self.sink = Sink(app, largest_bytes, redactor_of(settings, health), health.delivery_retries.labels(role).inc)
        names = (*self.sources, topics.STATE)
        self._cluster = cluster_of(settings)
        self._ids = ids or TopicIds(self._cluster, names, settings.request_timeout_seconds)
        self._guard = SourceGuard(self.sources, self._ids.ask, monotonic=monotonic)
        self._next: dict[TP, int] = {}
        self._ends: dict[TP, int] = {}
        self.parts: dict[TP, Part] = {}
        self._outboxes: dict[TP, Outbox] = {}
        self._last_moved: dict[TP, float] = {}
        self._level_ns: dict[TP, int] = {}
        self._tick_not_before = 0.0
        self.ready = False
        self.restored_seconds = 0.0
        self.last_progress = monotonic()
        self.failure: BaseException | None = None
        self._closing = False

    async def assigned(self) -> None:
        """Restores every owned partition from its checkpoint; called before the flow resumes.

        Where the state cannot be used, nothing is read or written any more and the worker ends.
        """
        self.ready = False
        self.app.consumer.stand_still()
        await self._drop()
        try:
            await self._restore_all()
        except (ConfigurationError, StateError) as error:
            await self._failed(error)

    async def _restore_all(self) -> None:
        begin = self._monotonic()
        owned = {tp for tp in self.app.consumer.assignment() if tp.topic in self.sources}
        try:
            logs = await self._logs(owned)
            with building():
                state = await read_state(
                    self._cluster,
                    topics.STATE,
                    {tp.partition for tp in owned},
                    self._choose,
                    max_bytes=topics.BY_NAME[topics.STATE].max_record_bytes,
                )
                restored = {tp: self._restore(tp, state[tp.partition], logs[tp]) for tp in sorted(owned)}
                await self._read_back(restored)
            await self._save(restored)
            offsets = await self._resume_offsets(restored, logs)
        except (AssertionError, IllegalStateError) as error:
            log.info("role %s: the group changed during the restore (%s)", self.role, error)
            return  # what the group says now comes as the next call
        self._next, self._ends = offsets, {tp: found.end for tp, found in logs.items()}
        self.app.consumer.resume_at(offsets)
        now = self._monotonic()
        self._last_moved = dict.fromkeys(owned, now)
        self._level_ns = {}
        self.last_progress, self.restored_seconds = now, now - begin
        self._health.rebalances.labels(self.role).inc()
        self._health.restore_duration.labels(self.role).set(self.restored_seconds)
        self.ready = True
        log.info("role %s owns %d partitions, restored in %.2f s", self.role, len(owned), self.restored_seconds)

    async def _logs(self, owned: set[TP]) -> dict[TP, SourceLog]:
        """The owned partitions as the broker has them."""
        known = await self._guard.assigned({tp.topic for tp in owned})
        if not owned:
            return {}
        consumer = self.app.consumer
        begin, end = await consumer.earliest_offsets(*owned), await consumer.highwaters(*owned)
        return {tp: SourceLog(*known[tp.topic], begin[tp], end[tp]) for tp in owned}

    def _restore(self, tp: TP, state: Mapping[str, bytes], log_now: SourceLog) -> Restored:
        part = self.parts[tp] = self._make(tp.topic, tp.partition)
        observe = self._health.checkpoint_duration.labels(self.role).observe
        send = self._tracer.send if self._tracer else untraced
        self._outboxes[tp] = Outbox(self.sink, self._failed, observe, allowed=self._guard.confirm, send=send)
        restored = part.restore(state, log_now)
        if restored.seat is not None and restored.seat.changes:
            tell(tp, restored.seat)
        return restored

    async def _resume_offsets(self, restored: Mapping[TP, Restored], logs: Mapping[TP, SourceLog]) -> dict[TP, int]:
        if not restored:
            return {}
        committed = await self.app.consumer.seek_to_committed()
        found = {}
        for tp, where in restored.items():
            found[tp] = (
                where.offset if where.offset is not None else self._without_state(tp, committed.get(tp), logs[tp])
            )
        return found

    def _without_state(self, tp: TP, committed: int | None, log_now: SourceLog) -> int:
        """The committed offset, or the log's beginning; commits without a checkpoint mean that state was lost."""
        if committed is None or not log_now.begin <= committed <= log_now.end:
            return log_now.begin
        part = self.parts[tp]
        part.source = part.source.changed(STATE_MISSING)
        tell_missing(tp, committed)
        return committed

    async def _save(self, restored: Mapping[TP, Restored]) -> None:
        """Where offsets begin anew, the state topic says so before anything is read."""
        for tp, where in restored.items():
            if where.seat is not None and where.seat.anew:
                await self._outboxes[tp].put(self.parts[tp].save())
                await self._outboxes[tp].drained()

    async def _read_back(self, restored: Mapping[TP, Restored]) -> None:
        begin: dict[TopicPartition, int] = {}
        for tp, where in restored.items():
            if where.windows_offset is not None:
                key = TopicPartition(topics.WINDOWS, tp.partition)
                begin[key] = min(begin.get(key, where.windows_offset), where.windows_offset)
        if not begin:
            return
        max_bytes = topics.BY_NAME[topics.WINDOWS].max_record_bytes
        async for record in read_to_end(self._cluster, begin, max_bytes=max_bytes):
            for tp, part in self.parts.items():
                if tp.partition == record.partition:
                    part.read_back(record)

    async def _drop(self) -> None:
        for tp, part in self.parts.items():
            self._health.forget_partition(tp.topic, tp.partition)
            self._release(part)
        outboxes, self._outboxes, self.parts = self._outboxes, {}, {}
        for outbox in outboxes.values():
            await outbox.close()

    async def process(self, tp: TP, records: Block) -> None:
        """Feeds a run to its partition; waits while too much is under way to the broker.

        After a failure nothing is applied any more: a later checkpoint would cover the run that failed.
        """
        part, outbox = self.parts.get(tp), self._outboxes.get(tp)
        if part is None or outbox is None or not self.ready or self.failure is not None or self._closing:
            return  # revoked or being restored while the run waited, or the end has come: it is read again
        try:
            await self._look_for_gap(tp, part, int(records.offset[0]))
            before_ns = part.time_ns
            with self._run_span(tp, records) as cause:
                for step in part.process(records, self._clock_ns()):
                    await outbox.put(step, cause)
        except Exception as error:  # noqa: BLE001 - the counted boundary of a role
            await self._failed(error)
            return
        if self.parts.get(tp) is not part:
            return  # restored meanwhile: what it was restored from says where to go on
        self._next[tp] = int(records.offset[-1]) + 1
        self._level_ns[tp] = int(records.timestamp_ms[-1]) * 1_000_000
        self.last_progress = self._monotonic()
        if part.time_ns != before_ns:
            self._last_moved[tp] = self.last_progress
        self._hold()

    def _run_span(self, tp: TP, records: Block) -> AbstractContextManager[object]:
        """A span of the pipeline's own around the work on a run, where somebody wants them."""
        if self._tracer is None:
            return nullcontext()
        offsets = (int(records.offset[0]), int(records.offset[-1]))
        return self._tracer.process(self.role, tp.topic, tp.partition, offsets)

    async def _look_for_gap(self, tp: TP, part: Part, offset: int) -> None:
        """Offsets that were passed over are a loss where retention has removed them, and only there."""
        expected = self._next.get(tp, offset)
        if offset <= expected:
            return
        begin = (await self.app.consumer.earliest_offsets(tp))[tp]
        lost = min(begin, offset) - expected
        if lost > 0:
            part.skip(lost)
            tell_loss(tp, lost)

    async def check_sources(self) -> None:
        """Whether the logs are still those that were restored for; if not, the worker ends and begins anew."""
        if not self.ready or self.failure is not None:
            return
        try:
            await self._guard.confirm()
            while self.app.consumer.went_back:
                tp, (expected, offset) = self.app.consumer.went_back.popitem()
                end = (await self.app.consumer.highwaters(tp))[tp]
                if end < expected:
                    raise StateEpochError(f"{tp.topic}/{tp.partition} ends at {end}; it had been read to {expected}")
                log.warning("%s/%d gave offset %d again, after %d", tp.topic, tp.partition, offset, expected)
        except StateError as error:
            await self._failed(error)

    def _hold(self) -> None:
        for tp, part in self.parts.items():
            if part.committable is not None:
                self.app.consumer.hold(tp, part.committable)
                part.committable = None

    async def _failed(self, error: BaseException) -> None:
        """An error that no retry mends: the worker ends, the log has everything."""
        if self.failure is None:
            self.failure = error
            log.critical("role %s cannot go on: %r", self.role, error, exc_info=error)

    async def tick(self) -> None:
        """Sends time into owned partitions whose own time stands still and that would publish something by it.

        Records alone do not keep a partition awake: events from the future or with a stuck clock do not move its time,
        and its open windows must close all the same.
        """
        self._hold()
        now_ns, now = self._clock_ns(), self._monotonic()
        if not self.ready or now < self._tick_not_before:
            return
        due = [tp for tp, part in self.parts.items() if self._wants_tick(tp, part, now_ns, now)]
        if not due:
            return
        await self.sink.deliver([Output(tp.topic, None, encode_tick(now_ns), tp.partition) for tp in due])
        if self._monotonic() - now > SLOW_TICK_SECONDS:
            self._tick_not_before = self._monotonic() + TICK_GRACE_SECONDS

    def _wants_tick(self, tp: TP, part: Part, now_ns: int, now: float) -> bool:
        wanted_ns = part.next_tick_ns()
        idle = now - self._last_moved.get(tp, now) >= self._settings.idle_seconds
        return wanted_ns is not None and idle and now_ns >= wanted_ns and self.lag(tp) == 0

    def lag(self, tp: TP) -> int:
        """Records in the log that were not delivered yet; -1 while unknown."""
        consumer = self.app.consumer
        try:
            highwater, delivered = consumer.highwater(tp), consumer.delivered.get(tp)
        except AssertionError:  # aiokafka's answer for a partition that the group is taking away
            return -1
        if highwater is None or delivered is None:
            return -1
        return max(0, int(highwater) - int(delivered) - 1)

    def progress(self, now_ns: int) -> list[Progress]:
        """All partitions it owns, as values."""
        told = []
        for tp, part in list(self.parts.items()):
            lag = self.lag(tp)
            if lag == 0:
                self._level_ns[tp] = now_ns
            level_ns = self._level_ns.get(tp)
            waited = None if lag < 0 or level_ns is None else max(now_ns - level_ns, 0) / 1e9
            told.append(replace(part.progress(lag, now_ns), lag_seconds=waited))
        return told

    def replayed(self) -> bool:
        """Whether all that lay in the logs at the restore has been applied: what the owner before had told is known."""
        return self.ready and all(self._next[tp] >= end for tp, end in self._ends.items() if tp in self.parts)

    def stalled_seconds(self) -> float:
        """How long there has been work (or nobody could tell) and none was done; 0 while all is well."""
        now = self._monotonic()
        if self.ready and all(self.lag(tp) == 0 for tp in self.parts):
            self.last_progress = now  # what comes after a quiet hour has not waited for an hour
        return now - self.last_progress

    async def close(self) -> None:
        """Takes no more and delivers what is under way, for a clean end."""
        self._closing = True
        outboxes = list(self._outboxes.values())
        try:
            await asyncio.wait_for(asyncio.gather(*(o.drained() for o in outboxes)), 4.0)
        finally:
            self._hold()
            await self._ids.close()
            self._outboxes = {}
            for outbox in outboxes:  # what they still hold is in the log; without a producer they could only fail
                await outbox.close()
