"""What the routes share: where the read models are, who may ask, how fresh the answers are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request

from streams.api.agents.query import AgentReader
from streams.api.board.query import BoardReader
from streams.api.ledger import Ledger
from streams.api.logs.query import LogReader
from streams.api.tokens import Token, allows, bearer
from streams.api.tracequery import TraceReader
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.gate.book import GateBook
from streams.gate.verdict import Verdict
from streams.records.gatecheck import Question, check, fill
from streams.records.rulereplay import rehearsed
from streams.settings import Settings

T = TypeVar("T")
Judge = Callable[[Settings, GateBook, Question, Callable[[], int]], Awaitable[Verdict]]
Fill = Callable[[Settings, GateBook, Callable[[], int]], Awaitable[None]]
Rehearse = Callable[[Settings, Sequence[Rule], int], Awaitable[tuple[Rehearsal, int]]]
LOCAL = "local"
"""Who asks where there are no tokens: somebody on this machine."""


@dataclass
class Context:
    """One per app.

    Attributes:
        settings: where the brokers, the read models, the rules and the profiles of gates are.
        tokens: who may ask; empty: everybody (the address is then loopback, see ``streams.api.server``).
        clock_ns: now.
        ledger: where what is said is written.
        judge: the verdict on a version, see :func:`streams.records.gatecheck.check`.
        rehearse: what rules would have told, see :func:`streams.records.rulereplay.rehearsed`.
        fill: gives a book its windows, see :func:`streams.records.gatecheck.fill`.
        rehearsing: held while rules are rehearsed: one rehearsal at a time.
        caught_up: by name of a feeder: set when it has read what was there at the start.
        failures: by name of a feeder: why it is not running.
    """

    settings: Settings
    tokens: tuple[Token, ...]
    clock_ns: Callable[[], int]
    ledger: Ledger
    judge: Judge = check
    fill: Fill = fill
    rehearse: Rehearse = rehearsed
    rehearsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    caught_up: Mapping[str, asyncio.Event] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def agents_path(self) -> Path:
        """The read model of agents, beside the board."""
        board = self.settings.api_store_path
        return board.with_name(f"{board.stem}-agents{board.suffix}")

    @property
    def logs_path(self) -> Path:
        """The read model of logs, beside the board."""
        board = self.settings.api_store_path
        return board.with_name(f"{board.stem}-logs{board.suffix}")

    def from_logs(self, ask: Callable[[LogReader], T]) -> T:
        """Asks the read model of logs on a connection of its own.

        Raises:
            ServiceUnavailable: there is none yet.
        """
        reader = LogReader(self.logs_path)
        try:
            return ask(reader)
        finally:
            reader.close()

    def from_agents(self, ask: Callable[[AgentReader], T]) -> T:
        """Asks the agents' read model on a connection of its own.

        Raises:
            ServiceUnavailable: there is none yet.
        """
        reader = AgentReader(self.agents_path)
        try:
            return ask(reader)
        finally:
            reader.close()

    def from_board(self, ask: Callable[[BoardReader], T]) -> T:
        """Asks the board on a connection of its own.

        Raises:
            ServiceUnavailable: there is no board yet.
        """
        reader = BoardReader(self.settings.api_store_path)
        try:
            return ask(reader)
        finally:
            reader.close()

    def from_traces(self, ask: Callable[[TraceReader], T]) -> T:
        """Asks the trace read model on a connection of its own.

        Raises:
            ServiceUnavailable: there is none yet.
        """
        reader = TraceReader(self.settings.trace_store_path)
        try:
            return ask(reader)
        finally:
            reader.close()

    def envelope(self, **content: Any) -> dict[str, Any]:
        """Content with the time of the answer, and how far the topics were read."""
        appended_ns = self.from_board(lambda board: board.appended_ns())
        partial = [name for name, event in self.caught_up.items() if not event.is_set()]
        return {
            **self.stamped(),
            "newest_record": rfc3339(appended_ns) if appended_ns else None,
            "partial": bool(partial or self.failures),
            **content,
        }

    def stamped(self, **content: Any) -> dict[str, Any]:
        """Content with the time of the answer: of what was written, which no read model needs to know yet."""
        return {"as_of": rfc3339(self.clock_ns()), **content}


def rfc3339(ns: int) -> str:
    """A time as the API gives it, in milliseconds."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def context(request: Request) -> Context:
    """Of the app that was asked."""
    found: Context = request.app.state.context
    return found


Shared = Annotated[Context, Depends(context)]


def needs(scope: str) -> Any:
    """A dependency: 401 without a valid token, 403 where it may not; gives the token's name."""

    def caller(request: Request) -> str:
        tokens = context(request).tokens
        if not tokens:
            return LOCAL
        token = bearer(tokens, request.headers.get("Authorization", ""))
        if token is None:
            raise HTTPException(401, "send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if not allows(token, scope):
            raise HTTPException(403, f"this needs the scope {scope}")
        return token.name

    return Depends(caller)
