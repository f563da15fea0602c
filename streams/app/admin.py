"""Creates and describes the topics of ``streams.topics``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.errors import ConfigurationError, ServiceUnavailable
from streams.records.cluster import cluster_of
from streams.settings import Settings, variable
from streams.topics import STATE, TOPICS, Topic

HOUR_MS = 3_600_000
KNOWN_LOOKS = 100
KNOWN_PAUSE_SECONDS = 0.1


def configuration(topic: Topic) -> dict[str, str]:
    """Kafka's settings of a topic."""
    config = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime" if topic.append_time else "CreateTime",
        "max.message.bytes": str(topic.max_record_bytes),
    }
    if topic.retention_seconds >= 0:
        config["retention.ms"] = str(topic.retention_seconds * 1000)
    if topic.compacted:
        # a zombie's late checkpoint must not push the right one out before a restart has read both
        config["min.compaction.lag.ms"] = str(HOUR_MS)
        config["segment.ms"] = str(HOUR_MS)
        config["delete.retention.ms"] = str(24 * HOUR_MS)
    return config


def partitions_of(topic: Topic, settings: Settings) -> int:
    """How many partitions a topic gets."""
    return settings.partitions if topic.partitions == "source" else int(topic.partitions)


async def create_topics(settings: Settings, topics: Sequence[Topic] = TOPICS) -> dict[str, str]:
    """Creates what is missing and adds partitions where there are fewer than the settings say; else nothing changes.

    Returns:
        Topic name to "created", "exists" or "raised".

    Raises:
        ServiceUnavailable: no broker answers.
    """
    client = AIOKafkaAdminClient(**cluster_of(settings).arguments)
    try:
        await client.start()
        wanted = [
            NewTopic(
                t.name,
                num_partitions=partitions_of(t, settings),
                replication_factor=settings.replication_factor,
                topic_configs=configuration(t),
            )
            for t in topics
        ]
        response = await client.create_topics(wanted)
        verdicts = {name: _verdict(name, code) for name, code, *_ in response.topic_errors}
        verdicts |= await _raise_partitions(client, settings, [t for t in topics if verdicts[t.name] == "exists"])
        await _known(client, settings, topics)
    except KafkaError as error:
        raise ServiceUnavailable(f"no Kafka broker answers at {settings.brokers}: {error}") from error
    finally:
        await client.close()
    return verdicts


async def _raise_partitions(client: AIOKafkaAdminClient, settings: Settings, there: Sequence[Topic]) -> dict[str, str]:
    """State first: a worker that is started in between must find room for what it restores."""
    if not there:
        return {}
    found = {t["topic"]: len(t["partitions"]) for t in await client.describe_topics([t.name for t in there])}
    raised = {}
    for topic in sorted(there, key=lambda t: t.name != STATE):
        wanted = partitions_of(topic, settings)
        if topic.partitions == "source" and found[topic.name] < wanted:
            response = await client.create_partitions({topic.name: NewPartitions(wanted)})
            for name, code, *_ in response.topic_errors:
                _verdict(name, code)
            raised[topic.name] = "raised"
    return raised


async def _known(client: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic]) -> None:
    """Waits until the brokers tell what was made: a worker that is started next would find too few and end."""
    wanted = {topic.name: partitions_of(topic, settings) for topic in topics}
    for _ in range(KNOWN_LOOKS):
        described = await client.describe_topics(list(wanted))
        found = {topic["topic"]: len(topic["partitions"]) for topic in described}
        if all(found.get(name, 0) >= count for name, count in wanted.items()):
            return
        await asyncio.sleep(KNOWN_PAUSE_SECONDS)


def _verdict(name: str, code: int) -> str:
    if code == 0:
        return "created"
    error = for_code(code)
    if error is TopicAlreadyExistsError:
        return "exists"
    raise ServiceUnavailable(f"the broker refused to create {name}, or its partitions: {error.__name__}")


async def describe_topics(settings: Settings) -> list[tuple[Topic, int]]:
    """Every topic of the table with the partitions it has on the broker (0: missing).

    Raises:
        ServiceUnavailable: no broker answers.
    """
    client = AIOKafkaAdminClient(**cluster_of(settings).arguments)
    try:
        await client.start()
        found = {t["topic"]: len(t["partitions"]) for t in await client.describe_topics([t.name for t in TOPICS])}
        return [(topic, found.get(topic.name, 0)) for topic in TOPICS]
    except KafkaError as error:
        raise ServiceUnavailable(f"no Kafka broker answers at {settings.brokers}: {error}") from error
    finally:
        await client.close()


async def check_topics(settings: Settings) -> None:
    """Whether the topics are as a worker needs them; Kafka would not say so, the worker would wait in silence.

    Raises:
        ServiceUnavailable: no broker answers, or topics are missing.
        ConfigurationError: topics that go together have another number of partitions than the settings say.
    """
    found = await describe_topics(settings)
    missing = [topic.name for topic, partitions in found if not partitions]
    if missing:
        names = ", ".join(missing)
        raise ServiceUnavailable(
            f"{len(missing)} topics are missing at {settings.brokers} ({names}): run `streams topics create`"
        )
    _check_partitions(settings, dict(found))


def _check_partitions(settings: Settings, found: Mapping[Topic, int]) -> None:
    name, wanted = variable("partitions"), settings.partitions
    counts = {topic.name: n for topic, n in found.items() if topic.partitions == "source"}
    most, fewest = max(counts, key=lambda t: counts[t]), min(counts, key=lambda t: counts[t])
    if counts[most] == counts[fewest] == wanted:
        return
    other = most if counts[most] != wanted else fewest
    advice = [f"set {name}={counts[most]}"] if counts[most] != wanted else []
    if counts[fewest] < max(wanted, counts[most]):
        advice.append("run `streams topics create`, which adds partitions where there are fewer")
    both = " or " if counts[most] < wanted else " and "
    raise ConfigurationError(
        f"{other} has {counts[other]} partitions, {name} is {wanted}: {both.join(advice)} "
        "(all such topics must have the same number)"
    )
