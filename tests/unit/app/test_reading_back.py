"""A worker that owns nothing has nothing to read back, and needs no broker for it."""

from __future__ import annotations

import asyncio

from streams import topics
from streams.app.blob import choose
from streams.app.state import read_state


def test_no_partitions_no_state() -> None:
    nobody = "127.0.0.1:9"
    assert asyncio.run(read_state(nobody, topics.STATE, set(), choose, max_bytes=1_000_000)) == {}
