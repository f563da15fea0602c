"""The API without a broker: read models with one thing of each kind, and a ledger that shows what it takes at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from benchmarks import readmodel
from streams import topics
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.context import Context
from streams.api.ledger import Ledger
from streams.api.logs.writer import LogWriter
from streams.api.tracewriter import Fetched as FetchedTrace
from streams.api.tracewriter import TraceWriter
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.domain.alert import decode_alert, encode_alert
from streams.domain.audit import Entry, decode_entry
from streams.domain.baseline import Pinned, encode_pinned
from streams.domain.control import Ack, Maintenance, control_key, encode_control
from streams.domain.deployment import Deployment, encode_deployment
from streams.domain.incident import decode_incident, encode_incident
from streams.domain.series import Series
from streams.domain.trace import encode_trace
from streams.domain.window import WindowBatch, encode_window_batch
from streams.errors import ServiceUnavailable
from streams.gate.book import GateBook
from streams.gate.lifecycle import register, request
from streams.gate.samples import Pane, dump
from streams.gate.verdict import Verdict
from streams.records.gatecheck import Question
from streams.settings import Settings

Row = TypeVar("Row")
DEPLOYMENT, AGENT = "shop-1", "planner-1"
MAINTENANCE = "AgentMemoryHigh"
"""As a rule is called: of a path's ``{name}`` nothing else is known."""
_ALERT, _INCIDENT = (value for _, value in readmodel.episodes(1, random.Random(1)))
ALERT = replace(decode_alert(_ALERT), state="firing", ends_at_ns=0)
INCIDENT = replace(decode_incident(_INCIDENT), status="open", resolved_at_ns=0)
TRACE = readmodel.drawn(0, random.Random(1))


class BoardLedger(Ledger):
    """In place of Kafka.

    Attributes:
        written: (topic, key, value), oldest first, but of the audit. headers: of these, by their place.
        audit: its entries. broken: it cannot write.
    """

    def __init__(self, board: Path) -> None:
        super().__init__("nobody")
        self._board = board
        self.written: list[tuple[str, bytes, bytes]] = []
        self.headers: dict[int, list[tuple[str, bytes]]] = {}
        self.audit: list[Entry] = []
        self.broken = False

    async def newest(
        self, topic: str, decode: Callable[[bytes], Row], key_of: Callable[[Row], bytes]
    ) -> dict[bytes, Row]:
        """Of what was written."""
        newest = {key: value for where, key, value in self.written if where == topic}
        return {key: decode(value) for key, value in newest.items()}

    async def write(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Keeps it; the board has it when this returns."""
        if self.broken:
            raise ServiceUnavailable("no broker")
        if topic == topics.AUDIT:
            self.audit.append(decode_entry(value))
            return
        self.written.append((topic, key, value))
        self.headers[len(self.written) - 1] = list(headers)
        await asyncio.to_thread(self.show, topic, value)

    async def appended(self, topic: str, since_ms: int) -> int:
        """Of what was written, whenever."""
        if self.broken:
            raise ServiceUnavailable("no broker")
        return sum(where == topic for where, *_ in self.written)

    def show(self, topic: str, value: bytes) -> None:
        """Puts it into the board."""
        writer = BoardWriter(self._board)
        try:
            if topic in writer.sources:
                writer.write([Fetched(topic, 0, writer.offsets().get((topic, 0), 0), 6_000, value)])
        finally:
            writer.close()


def deployment(name: str, **more: str) -> Deployment:
    """One that was registered at 1 s."""
    body = {"service": "shop", "version": "2", "environment": "prod", "baseline_version": "1", "strategy": "canary"}
    asked = request(name, **{**body, "git_sha": "abc", "profile": "default", **more})
    return register(None, asked, 10**9, "ci")


def world(folder: Path, now_ns: int) -> Context:
    """Read models in a folder, and no tokens."""
    board = folder / "board.sqlite3"
    (folder / "key").write_bytes(bytes(range(32)))
    stores = {"api_store_path": board, "trace_store_path": folder / "traces.sqlite3"}
    settings = Settings(**stores, commands_key_file=str(folder / "key"), api_requests_per_second=1e5)
    context = Context(settings, (), lambda: now_ns, BoardLedger(board), undecided, unfilled, unheard)
    traces = TraceWriter(settings.trace_store_path, topics.TRACES)
    traces.write([FetchedTrace(0, 0, encode_trace(TRACE))])
    traces.close()
    agents = AgentWriter(context.agents_path, settings.pane_seconds)
    agents.write([Fetched(topics.WINDOWS, 0, 0, 1_000, encode_window_batch(_window(now_ns)))])
    agents.close()
    logs = LogWriter(context.logs_path, Redactor())
    value = encode_log_batch(
        {"service.name": "shop", "gen_ai.agent.id": AGENT}, [{"body": "slow"}], producer="p", seq=0
    )
    logs.write([Fetched(topics.LOGS, 0, 0, 1_000, value)])
    logs.close()
    asyncio.run(_written(context.ledger))
    return context


async def _written(ledger: Ledger) -> None:
    ack = Ack(ALERT.fingerprint, "ann", "on it", 10**9)
    upgrade = Maintenance(MAINTENANCE, (("service.name", ("shop",)),), "ann", "upgrade", 10**9, 4 * 10**18)
    await ledger.write(topics.ALERTS, ALERT.fingerprint.encode(), encode_alert(ALERT))
    await ledger.write(topics.INCIDENTS, INCIDENT.incident_id.encode(), encode_incident(INCIDENT))
    for said in (ack, upgrade):
        await ledger.write(topics.CONTROL, control_key(said), encode_control(said))
    await ledger.write(topics.BASELINES, pinned().key, encode_pinned(pinned()))
    await ledger.write(topics.DEPLOYMENTS, DEPLOYMENT.encode(), encode_deployment(deployment(DEPLOYMENT)))


async def undecided(_: Settings, book: GateBook, question: Question, clock_ns: Callable[[], int]) -> Verdict:
    """What the gates say where there is no window."""
    return book.verdict(question.version, question.baseline, clock_ns())


async def unheard(settings: Settings, rules: Sequence[Rule], since_ns: int) -> tuple[Rehearsal, int]:
    """As if there were no windows."""
    return Rehearsal(rules, settings.pane_seconds), 0


async def unfilled(settings: Settings, book: GateBook, clock_ns: Callable[[], int]) -> None:
    """Where there is no window."""


def pinned() -> Pinned:
    """A baseline of two windows."""
    panes = {start: Pane(30, 6.0, 0.4, 0.0, {10: 30}) for start in (0, 10 * 10**9)}
    return Pinned("shop", "", "pinned", "1", "ann", "release 1", 10**9, {"errors_since_baseline": dump(panes)})


def _window(end_ns: int) -> WindowBatch:
    labels = (("agent.id", AGENT), ("service.name", "shop"))
    one: Any = np.ones(1)
    return WindowBatch(
        topic="agents.metrics",
        partition=0,
        start_ns=end_ns - 10 * 10**9,
        end_ns=end_ns,
        series=[Series("agents.memory", "By", "gauge", labels)],
        count=one.astype(np.int64),
        sum=one,
        sum_low=0 * one,
        minimum=one,
        maximum=one,
        sum_squares=one,
        quantiles=np.ones((1, 3)),
        sketch_start=np.array([0, 0], dtype=np.int32),
        sketch_bucket=np.zeros(0, dtype=np.int32),
        sketch_weight=np.zeros(0, dtype=np.int64),
    )
