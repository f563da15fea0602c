"""What the broker calls a topic inside: its id, another one each time a topic of that name is made.

aiokafka asks for metadata up to version 5; ids came with version 10 (brokers from 2.8 on). The records of that version:
https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import BrokerNotAvailableError, IncompatibleBrokerVersion
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from streams.records.cluster import Cluster

ID_BYTES: Final = 16


class Id(AbstractType[str]):
    """A topic's id as text; empty where it is all zeros (there is none)."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """16 bytes."""
        return uuid.UUID(value).bytes if value else bytes(ID_BYTES)

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """The inverse."""
        raw = data.read(ID_BYTES)
        return str(uuid.UUID(bytes=raw)) if any(raw) else ""


_TEXT: Final = CompactString("utf-8")
_NUMBERS: Final = CompactArray(Int32)


class MetadataResponse(Response):
    """Version 10."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("t", TaggedFields)),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NUMBERS),
                        ("isr", _NUMBERS),
                        ("offline_replicas", _NUMBERS),
                        ("t", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("t", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("t", TaggedFields),
    )


class MetadataRequestStruct(RequestStruct):
    """Version 10."""

    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Id), ("name", _TEXT), ("t", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("t", TaggedFields),
    )


class MetadataRequest(Request[MetadataRequestStruct]):
    """Asks for topics by name; creates none. ``operations``: also what we may do with them."""

    API_KEY = 3

    def __init__(self, names: Sequence[str], *, operations: bool = False) -> None:
        self._names, self._operations = names, operations

    def build(self, request_struct_class: type[MetadataRequestStruct]) -> MetadataRequestStruct:
        """The request in the one version there is."""
        return request_struct_class([("", name, {}) for name in self._names], False, False, self._operations, {})


class Topic(NamedTuple):
    """A topic as the broker has it: ``epoch`` is its id, empty where brokers have none; how many partitions."""

    epoch: str
    partitions: int


class TopicIds:
    """Asks the broker for ids, over a connection of its own that is made anew after an error.

    Args:
        brokers: the cluster.
        names: the topics.
        request_timeout_seconds: how long an answer may take.
    """

    def __init__(self, brokers: Cluster, names: Sequence[str], request_timeout_seconds: float = 40.0) -> None:
        self._brokers, self._names, self._timeout = brokers, tuple(names), request_timeout_seconds
        self._client: Any = None

    async def ask(self) -> Mapping[str, Topic]:
        """The topics that exist.

        Raises:
            KafkaError: nobody answers.
        """
        try:
            return await self._ask()
        except (Exception, asyncio.CancelledError):
            await self.close()
            raise

    async def _ask(self) -> Mapping[str, Topic]:
        if self._client is None:
            self._client = AIOKafkaClient(**self._brokers.arguments, request_timeout_ms=round(1000 * self._timeout))
            await self._client.bootstrap()
        node = self._client.get_random_node()
        if node is None:
            raise BrokerNotAvailableError("no broker is known")
        try:
            response = await self._client.send(node, MetadataRequest(self._names))
        except (NotImplementedError, IncompatibleBrokerVersion):  # a broker before 2.8
            return await self._without_ids()
        return {
            name: Topic(epoch, len(partitions))
            for error, name, epoch, _, partitions, *_ in response.topics
            if not error
        }

    async def _without_ids(self) -> Mapping[str, Topic]:
        cluster = await self._client.fetch_all_metadata()
        counts = {name: len(cluster.partitions_for_topic(name) or ()) for name in self._names}
        return {name: Topic("", count) for name, count in counts.items() if count}

    async def close(self) -> None:
        """Closes the connection; the next call makes another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


async def authorized_operations(cluster: Cluster, names: Sequence[str]) -> dict[str, int]:
    """Topic -> bits of the operations that the broker lets us do; topics that we may not even see are left out.

    Raises:
        KafkaError: nobody answers, or not in this version (brokers before 2.8).
    """
    client = AIOKafkaClient(**cluster.arguments)
    try:
        await client.bootstrap()
        node = client.get_random_node()
        if node is None:
            raise BrokerNotAvailableError("no broker is known")
        response = await client.send(node, MetadataRequest(names, operations=True))
        return {row[1]: row[5] for row in response.topics if not row[0]}
    finally:
        await client.close()
