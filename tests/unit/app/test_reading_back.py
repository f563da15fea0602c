"""What a role restores when its group gives it partitions, none, or takes them away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from streams import topics
from streams.app.blob import choose
from streams.app.part import Restored
from streams.app.runtime import Runtime
from streams.app.state import read_state
from streams.app.topicids import Topic, TopicIds
from streams.publish.health import unobserved
from streams.records.cluster import Cluster
from streams.settings import Settings

PARTITION = TP(topics.SPANS, 0)


def test_no_partitions_no_state() -> None:
    nobody = Cluster("127.0.0.1:9")
    assert asyncio.run(read_state(nobody, topics.STATE, set(), choose, max_bytes=1_000_000)) == {}


class Consumer:
    """A group that has given a partition, and takes it away while it is being restored."""

    def assignment(self) -> set[TP]:
        return {PARTITION}

    def stand_still(self) -> None:
        """Nothing is handed on here."""

    async def earliest_offsets(self, *_: TP) -> dict[TP, int]:
        raise IllegalStateError("No current assignment for partition")


class Ids(TopicIds):
    """A broker that has the topics."""

    def __init__(self) -> None:
        super().__init__("", ())

    async def ask(self) -> Mapping[str, Topic]:
        return dict.fromkeys((topics.SPANS, topics.STATE), Topic("id", 1))


class App:
    consumer = Consumer()


class Part:
    committable = None

    def restore(self, *_: object) -> Restored:
        return Restored()


def test_a_group_that_changes_during_the_restore_is_no_failure_and_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> dict[int, dict[str, bytes]]:
        return {PARTITION.partition: {}}

    async def restored() -> Runtime:
        app, sources = App(), (topics.SPANS,)
        runtime = Runtime(app, "traces", sources, lambda *_: Part(), choose, Settings(), unobserved(), ids=Ids())
        await runtime.assigned()
        await runtime._drop()
        return runtime

    monkeypatch.setattr("streams.app.runtime.read_state", nothing)
    runtime = asyncio.run(restored())
    assert not runtime.ready
    assert runtime.failure is None
