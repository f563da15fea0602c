"""A ledger without a broker: what is written is in the board at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from streams import topics
from streams.api.board.writer import BoardWriter, Fetched
from streams.api.ledger import Ledger
from streams.domain.audit import Entry, decode_entry
from streams.domain.deployment import Deployment
from streams.errors import ServiceUnavailable
from streams.gate.lifecycle import register, request

Row = TypeVar("Row")


class BoardLedger(Ledger):
    """``written``: (topic, key, value), oldest first; ``audit``: values of that topic; ``broken``: it cannot write."""

    def __init__(self, board: Path) -> None:
        super().__init__("nobody")
        self._board = board
        self.written: list[tuple[str, bytes, bytes]] = []
        self.audit: list[Entry] = []
        self.broken = False

    async def newest(
        self, topic: str, decode: Callable[[bytes], Row], key_of: Callable[[Row], bytes]
    ) -> dict[bytes, Row]:
        return {key: decode(value) for where, key, value in self.written if where == topic}

    async def write(self, topic: str, key: bytes, value: bytes) -> None:
        if self.broken:
            raise ServiceUnavailable("no broker")
        if topic == topics.AUDIT:
            self.audit.append(decode_entry(value))
            return
        self.written.append((topic, key, value))
        await asyncio.to_thread(self.show, topic, value)

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
