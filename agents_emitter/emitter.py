"""The front of the library: one emitter for each process, made once and used from everywhere."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random  # noqa: TID251  ids and jitter come from an instance seeded by the operating system
from types import TracebackType
from typing import Any, Final, TypeVar

from agents_emitter import events, lifetime
from agents_emitter.encoders import Encoder, GroupEncoder, Identity, MetricEncoder, ReadyEncoder
from agents_emitter.foreign import Foreign, Ready
from agents_emitter.instruments import Clock, Counter, Gauge, Histogram, Instrument, UpDownCounter
from agents_emitter.lane import Lane
from agents_emitter.logs import LogHandler
from agents_emitter.options import Options
from agents_emitter.process import ProcessSampler
from agents_emitter.propagation import CURRENT, HasContext, SpanContext
from agents_emitter.redaction import RULES, Redactor
from agents_emitter.registry import Registry
from agents_emitter.ring import ReadyRing, Ring, SizedRing, Tally
from agents_emitter.sender import Sender
from agents_emitter.spans import (
    KINDS,
    MAX_NAME_CHARS,
    Span,
    SpanKind,
    announcement,
    link_contexts,
    span_group,
    span_row,
    traced,
)
from agents_emitter.stats import Stats
from agents_emitter.text import MAX_ATTRIBUTES, MAX_LABEL_CHARS, require_name, require_unit, text_of
from agents_emitter.transport import Connect, connect_kafka

I = TypeVar("I", bound=Instrument[Any])  # noqa: E741
AGENT_ID: Final = "gen_ai.agent.id"


class Emitter:
    """Metrics, spans and logs of one agent process into Kafka.

    No call of an instrument, span or log handler blocks, raises or does I/O: it puts a value into a bounded ring, and a
    daemon thread does the rest. The brokers need not be there yet, and may go away: what does not fit the bounds of
    :class:`agents_emitter.Options` is dropped and counted (:meth:`stats`). Creating emitters and instruments does
    raise, on wrong arguments: that is programming time.

    Usable as ``with`` and ``async with`` (both close it); otherwise it is closed when the process ends.

    Args:
        brokers: "host:port" or several, separated by commas. None makes a disabled emitter, which drops everything.
        service_name: OpenTelemetry's ``service.name``.
        agent_id: identity of the agent, the label ``agent.id`` and the record key; by default the service name, so
            that restarts do not make new series.
        agent_type: planner, researcher, ...: the label ``agent.type``.
        resource: more resource attributes, e.g. ``deployment.environment.name``.
        options: bounds and intervals; single ones can be given by name, e.g. ``flush_interval_seconds=1.0``.
        clock_ns: nanoseconds since the epoch.
        connect: how to reach the brokers, for tests; by default aiokafka.

    Raises:
        ValueError: a bound that is not positive. TypeError: an unknown option.
    """

    def __init__(
        self,
        brokers: str | None,
        *,
        service_name: str,
        agent_id: str | None = None,
        agent_type: str | None = None,
        resource: Mapping[str, object] | None = None,
        options: Options | None = None,
        clock_ns: Clock = time.time_ns,  # noqa: TID251  the one default; everything else takes it as an argument
        connect: Connect | None = None,
        **overrides: Any,
    ) -> None:
        self.options = replace(options or Options(), **overrides)
        self._clock = clock_ns
        self._redacted = {rule: Tally() for rule in RULES}
        self.redactor = Redactor(
            self.options.redaction_allow,
            content=self.options.capture_content,
            found=lambda rule: self._redacted[rule].bump(),
        )
        self._agent_id = self.redactor.value(AGENT_ID, text_of(agent_id or service_name, MAX_LABEL_CHARS))
        stated: dict[str, object] = {
            "service.name": service_name,
            AGENT_ID: self._agent_id,
            "agents.type": agent_type,
        }
        stated |= resource or {}
        self.stated = frozenset(name for name, value in stated.items() if value is not None)
        self._given = {"host.name": socket.gethostname(), **stated}
        self._connect = connect or (connect_kafka(brokers, self.options, self._agent_id) if brokers else None)
        self._closed = False
        self._instruments: dict[str, Instrument[Any]] = {}
        self._random = Random(os.urandom(32))  # noqa: S311  ids must differ, not be secret
        self._state = threading.Condition()
        self._registry = Registry(self.options.max_series, self.redactor)
        self._samples = Ring(self.options.sample_limit)
        self._spans = SizedRing(self.options.ring_spans, self.options.ring_bytes)
        self._logs = SizedRing(self.options.ring_logs, self.options.ring_bytes)
        self._points = ReadyRing(self.options.ring_logs, self.options.ring_bytes)
        self._rings = (self._samples, self._spans, self._logs, self._points)
        self._before_close: list[Callable[[], object]] = []
        self._lanes = self._make_lanes()
        self._sampler = ProcessSampler(self) if self.options.process_interval_seconds else None
        self._sender: Sender | None = None
        self._inherited: list[Sender] = []
        if self._connect is None:
            self._disable()
        else:
            self._start_sender(self._connect)
            lifetime.opened(self)

    # Instruments

    def counter(self, name: str, unit: str = "1") -> Counter:
        """A counter: ``add(value, **labels)``, never negative. The same name gives the same instrument.

        Raises:
            ValueError: not a name or unit, one that redaction finds something in, or the name is taken by another kind
                or unit.
        """
        return self._instrument(Counter, name, unit)

    def updowncounter(self, name: str, unit: str = "1") -> UpDownCounter:
        """A sum that also falls: ``add(value, **labels)``. Raises as :meth:`counter`."""
        return self._instrument(UpDownCounter, name, unit)

    def gauge(self, name: str, unit: str = "1") -> Gauge:
        """A current value: ``set(value, **labels)``. Raises as :meth:`counter`."""
        return self._instrument(Gauge, name, unit)

    def histogram(self, name: str, unit: str = "1") -> Histogram:
        """Observed values: ``record(value, **labels)``. Raises as :meth:`counter`."""
        return self._instrument(Histogram, name, unit)

    def _instrument(self, kind: type[I], name: str, unit: str) -> I:
        require_name(name)
        require_unit(unit)
        if self.redactor.text(name) != name or self.redactor.text(unit) != unit:
            raise ValueError("a metric's name or unit looks like a secret or a person's address")
        with self._registry.lock:
            known = self._instruments.get(name)
            if known is None:
                known = self._instruments[name] = kind(self._registry, self._samples, self._clock, name, unit)
        if not isinstance(known, kind) or known.unit != unit:
            raise ValueError(f"{name} is already a {known.kind} in {known.unit!r}")
        return known

    # Spans

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        attributes: Mapping[str, object] | None = None,
        links: Iterable[SpanContext | HasContext] = (),
        parent: SpanContext | HasContext | None = None,
        announce: bool = False,
    ) -> Span:
        """A span, to be used with ``with`` (also in coroutines). It starts now.

        Args:
            name: low cardinality, e.g. ``execute_tool search``.
            kind: internal, server, client, producer or consumer.
            attributes: OpenTelemetry attributes.
            links: other spans it depends on.
            parent: by default the span that is open here; from another process, what ``extract`` gave.
            announce: tell of its start now; then it is known to hang if its end does not come within a minute.
        """
        above = parent if parent is not None else CURRENT.get()
        context = above if isinstance(above, SpanContext) else None if above is None else above.context
        draw = self._random.getrandbits
        span_id = f"{draw(64) or 1:016x}"
        if context is None:
            own, parent_id = SpanContext(f"{draw(128) or 1:032x}", span_id), ""
        else:
            own = SpanContext(context.trace_id, span_id, context.flags, context.state, context.baggage)
            parent_id = context.span_id
        text = name if type(name) is str and len(name) <= MAX_NAME_CHARS else text_of(name, MAX_NAME_CHARS)
        span = Span(text, KINDS.get(kind, 1), own, parent_id, self._clock, self._finish)
        if attributes:
            span.set_attributes(attributes)
        for link in link_contexts(links) if links else ():
            span.add_link(link)
        if announce:
            self._spans.offer(announcement(span), span.size_bytes)
        return span

    def traced(
        self, name: str | None = None, *, kind: SpanKind = "internal", attributes: Mapping[str, object] | None = None
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator for functions and coroutine functions: each call is a span, named after the function by default."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            label = name or function.__qualname__
            return traced(lambda: self.span(label, kind=kind, attributes=attributes))(function)

        return decorate

    def _finish(self, span: Span) -> None:
        span.end_ns = max(span.start_ns, self._clock())
        self._spans.offer(span, span.size_bytes)

    # Logs

    def log_handler(self, level: int = 0) -> LogHandler:
        """A ``logging.Handler`` that ships records with the current trace."""
        return LogHandler(self, level)

    def offer_log(self, row: dict[str, Any] | Foreign, size_bytes: int) -> bool:
        """Buffer one log record with OTLP field names (what the handler does); False: refused and counted."""
        return self._logs.offer(row, size_bytes)

    def count_invalid_log(self, error: BaseException) -> None:
        """Count a log record that could not be made."""
        self._count_invalid(self._logs, error)

    def count_invalid_span(self, error: BaseException) -> None:
        """Count a span of another library that is none."""
        self._count_invalid(self._spans, error)

    def _count_invalid(self, ring: Ring, error: BaseException) -> None:
        ring.invalid.bump()
        if self._sender is not None:
            self._sender.count_error(error)

    # What another library made

    @property
    def resource(self) -> Mapping[str, str]:
        """The resource attributes of this process; those that the caller stated are named by ``stated``."""
        return self._lanes[0].encoder.identity.resource

    def offer_span(self, span: Foreign, size_bytes: int) -> bool:
        """Buffer a span of another library; False: refused and counted."""
        return self._spans.offer(span, size_bytes)

    def offer_points(self, record: Ready) -> bool:
        """Buffer a finished record for the metrics topic; False: refused and its points counted."""
        return self._points.offer(record, len(record.value))

    def before_close(self, callback: Callable[[], object]) -> None:
        """Call this first when the emitter closes: what holds back events can still hand them over."""
        self._before_close.append(callback)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def sender_thread_id(self) -> int | None:
        """Identity of the background thread."""
        return None if self._sender is None else self._sender.thread_id

    # Delivery and accounts

    def stats(self) -> Stats:
        """The accounts, consistent with each other at one moment."""
        with self._state:
            samples, spans, logs, points = (lane.stats() for lane in self._lanes)
            errors = dict(self._sender.errors) if self._sender else {}
            connects = self._sender.connects if self._sender else 0
            series, overflowed = len(self._registry.rows), self._registry.overflowed
            redacted = {rule: count for rule, tally in self._redacted.items() if (count := tally.read())}
            return Stats(samples, spans, logs, errors, connects, series, overflowed, points, redacted)

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until everything emitted before this call is acknowledged or dropped. Blocks: in coroutines ``aflush``.

        Returns:
            False: not within the timeout.
        """
        if self._sender is None:
            return True
        upto = [lane.drain() for lane in self._lanes]
        self._sender.wake()
        with self._state:
            return self._state.wait_for(
                lambda: not any(lane.spool.holds_below(number) for lane, number in zip(self._lanes, upto, strict=True)),
                timeout_seconds,
            )

    async def aflush(self, timeout_seconds: float = 5.0) -> bool:
        """:meth:`flush` without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout_seconds)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Refuse new events, deliver what is buffered, end the thread. Later calls do nothing.

        Args:
            timeout_seconds: how long to wait for delivery; by default ``exit_timeout_seconds``. What is not delivered
                then is dropped and counted, as ``closed`` or ``unconfirmed``.

        Returns:
            Whether everything was delivered or dropped before the timeout.
        """
        if self._closed or self._sender is None:
            return True
        self._closed = True
        self._call_before_close(self._sender)
        for ring in self._rings:
            ring.close()
        flushed = self.flush(self.options.exit_timeout_seconds if timeout_seconds is None else timeout_seconds)
        self._sender.stop(self.options.exit_timeout_seconds)
        for lane in self._lanes:
            lane.abandon()
        lifetime.closed(self)
        return flushed

    def _call_before_close(self, sender: Sender) -> None:
        for callback in self._before_close:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  another library's fault must not keep the emitter open, counted
                sender.count_error(error)

    async def aclose(self, timeout_seconds: float | None = None) -> bool:
        """:meth:`close` without blocking the event loop."""
        return await asyncio.to_thread(self.close, timeout_seconds)

    def __enter__(self) -> Emitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Emitter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # Making, and making again after a fork

    def _identity(self) -> Identity:
        """Who this process is. The producer id is unique for every process start and fork."""
        producer = f"{self._agent_id}-{os.getpid()}-{os.urandom(6).hex()}"
        given = {"service.instance.id": producer, "process.pid": os.getpid(), **self._given}
        cleaned = {
            text_of(name, MAX_LABEL_CHARS): text_of(value, MAX_LABEL_CHARS)
            for name, value in list(given.items())[:MAX_ATTRIBUTES]
            if value is not None
        }
        return Identity(self.redactor.attributes(cleaned), self._agent_id.encode(), producer)

    def _make_lanes(self) -> list[Lane]:
        identity = self._identity()
        batch = self.options.max_batch_samples
        metrics = MetricEncoder(identity, self._registry, batch)
        clean = self.redactor.row
        spans = GroupEncoder(
            identity, group_of=span_group, row_of=span_row, clean=clean, encode_batch=events.encode_span_batch
        )
        logs = GroupEncoder(
            identity, group_of=lambda _: b"", row_of=dict, clean=clean, encode_batch=events.encode_log_batch
        )
        return [
            self._lane(events.METRICS_TOPIC, self._samples, metrics, 16 * batch),
            self._lane(events.SPANS_TOPIC, self._spans, spans, 1000),
            self._lane(events.LOGS_TOPIC, self._logs, logs, 1000),
            self._lane(events.METRICS_TOPIC, self._points, ReadyEncoder(identity), 1000),
        ]

    def _lane(self, topic: str, ring: Ring, encoder: Encoder, drain_items: int) -> Lane:
        return Lane(
            topic=topic,
            ring=ring,
            encoder=encoder,
            spool_batches=self.options.spool_batches,
            spool_bytes=self.options.spool_bytes,
            max_record_bytes=self.options.max_record_bytes,
            drain_items=drain_items,
            state=self._state,
        )

    def _disable(self) -> None:
        for ring in self._rings:
            ring.close()

    def _start_sender(self, connect: Connect) -> None:
        self._sender = Sender(self._lanes, connect, self.options, jitter=self._random.random)
        if self._sampler is not None:
            self._sender.periodic.append((self.options.process_interval_seconds, self._sample_process))
        self._sender.start()

    def _sample_process(self) -> None:
        if self._sampler is not None and not self._closed:
            self._sampler.sample()

    def before_fork(self) -> None:
        """Let no other thread be inside the accounts or the registry while the process is copied."""
        self._state.acquire()
        self._registry.lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._registry.lock.release()
        self._state.release()

    def after_fork_in_child(self) -> None:
        """Empty rings, another producer id, other span ids, an own thread. The parent's events stay the parent's."""
        self._registry.lock = threading.RLock()
        self._state = threading.Condition()
        self._random.seed(os.urandom(32))
        identity = self._identity()
        for lane in self._lanes:
            lane.reset(identity, self._state)
        if self._sender is not None and self._connect is not None:
            self._sender.disarm()
            self._inherited.append(self._sender)  # collecting it would run the destructors of the parent's connections
            self._sampler = ProcessSampler(self) if self._sampler else None
            self._start_sender(self._connect)
