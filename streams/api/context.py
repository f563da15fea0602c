"""What the routes share: where the read models are, who may ask, how fresh the answers are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request

from streams.api.board.query import BoardReader
from streams.api.tokens import Token, allows, owner
from streams.api.tracequery import TraceReader

T = TypeVar("T")


@dataclass
class Context:
    """One per app.

    Attributes:
        brokers: for the stream of events.
        board, traces: the read models' files.
        tokens: who may ask; empty: everybody (the address is then loopback, see ``streams.api.server``).
        clock_ns: now.
        caught_up: by name of a feeder: set when it has read what was there at the start.
        failures: by name of a feeder: why it is not running.
    """

    brokers: str
    board: Path
    traces: Path
    tokens: tuple[Token, ...]
    clock_ns: Callable[[], int]
    caught_up: Mapping[str, asyncio.Event] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def from_board(self, ask: Callable[[BoardReader], T]) -> T:
        """Asks the board on a connection of its own.

        Raises:
            ServiceUnavailable: there is no board yet.
        """
        reader = BoardReader(self.board)
        try:
            return ask(reader)
        finally:
            reader.close()

    def from_traces(self, ask: Callable[[TraceReader], T]) -> T:
        """Asks the trace read model on a connection of its own.

        Raises:
            ServiceUnavailable: there is none yet.
        """
        reader = TraceReader(self.traces)
        try:
            return ask(reader)
        finally:
            reader.close()

    def envelope(self, **content: Any) -> dict[str, Any]:
        """Content with the time of the answer, and how far the topics were read."""
        appended_ns = self.from_board(lambda board: board.appended_ns())
        partial = [name for name, event in self.caught_up.items() if not event.is_set()]
        return {
            "as_of": rfc3339(self.clock_ns()),
            "newest_record": rfc3339(appended_ns) if appended_ns else None,
            "partial": bool(partial or self.failures),
            **content,
        }


def rfc3339(ns: int) -> str:
    """A time as the API gives it, in milliseconds."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def context(request: Request) -> Context:
    """Of the app that was asked."""
    found: Context = request.app.state.context
    return found


Shared = Annotated[Context, Depends(context)]


def needs(scope: str) -> Any:
    """A dependency: 401 without a valid token, 403 where it may not."""

    def check(request: Request) -> None:
        tokens = context(request).tokens
        if not tokens:
            return
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        token = owner(tokens, secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise HTTPException(401, "send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if not allows(token, scope):
            raise HTTPException(403, f"this needs the scope {scope}")

    return Depends(check)
