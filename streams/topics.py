"""The table of topics. Data only: what each is for, who writes and reads it, how long it is kept.

Names, keys and record layouts are public API.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agents_emitter import events

DAY_SECONDS: Final = 86_400


class Topic(NamedTuple):
    """One topic.

    Attributes:
        name: public name.
        key: what the record key is.
        partitions: "source" = as many as the source topics have (a setting), or a fixed number.
        retention_seconds: how long records are kept (-1: for ever, compaction bounds the size).
        compacted: the latest record of each key is kept.
        append_time: the broker stamps records (our topics do: one clock per log, and the reference for "the future").
        max_record_bytes: the largest record the broker takes.
        producer, consumers: who writes, who reads.
    """

    name: str
    key: str
    partitions: int | str
    retention_seconds: int
    compacted: bool
    append_time: bool
    max_record_bytes: int
    producer: str
    consumers: str


METRICS: Final = events.METRICS_TOPIC
SPANS: Final = events.SPANS_TOPIC
LOGS: Final = events.LOGS_TOPIC
OTLP_METRICS: Final = "otlp_metrics"
OTLP_SPANS: Final = "otlp_spans"
OTLP_LOGS: Final = "otlp_logs"
RED: Final = "agents.red"
WINDOWS: Final = "agents.windows"
TRACES: Final = "agents.traces"
EDGES: Final = "agents.edges"
ANOMALIES: Final = "agents.anomalies"
ALERTS: Final = "agents.alerts"
FINDINGS: Final = "agents.findings"
CAPACITY: Final = "agents.capacity"
INCIDENTS: Final = "agents.incidents"
CONTROL: Final = "agents.control"
DEPLOYMENTS: Final = "agents.deployments"
BASELINES: Final = "agents.baselines"
COMMANDS: Final = "agents.commands"
AUDIT: Final = "agents.audit"
DEAD_LETTERS: Final = "agents.dead-letters"
STATE: Final = "streams.state"
PROGRESS: Final = "streams.progress"

_MB: Final = 1_048_576

# agents.findings has one partition: alerts of all partitions become incidents in one place.
# agents.capacity has one partition: limits of the whole system are held against the sum of all partitions.
# otlp_metrics has one partition: collectors send without a key, and a running total whose points are spread over
# partitions would be counted once in each.
TOPICS: Final[tuple[Topic, ...]] = (
    Topic(METRICS, "agent id", "source", DAY_SECONDS, False, True, _MB, "agents_emitter", "metrics role"),
    Topic(SPANS, "trace id", "source", 2 * DAY_SECONDS, False, True, _MB, "agents_emitter", "traces role"),
    Topic(LOGS, "agent id", "source", 2 * DAY_SECONDS, False, True, _MB, "agents_emitter", "metrics role, api"),
    Topic(OTLP_METRICS, "any", 1, DAY_SECONDS, False, True, 4 * _MB, "OTLP collector", "metrics role"),
    Topic(OTLP_SPANS, "any", "source", DAY_SECONDS, False, True, 4 * _MB, "OTLP collector", "traces role"),
    Topic(OTLP_LOGS, "any", "source", DAY_SECONDS, False, True, 4 * _MB, "OTLP collector", "metrics role, api"),
    Topic(RED, "service name", "source", DAY_SECONDS, False, True, _MB, "traces role", "metrics role"),
    Topic(
        WINDOWS,
        "topic/partition/size/start",
        "source",
        7 * DAY_SECONDS,
        False,
        True,
        16 * _MB,
        "metrics role",
        "alerts role, api, users",
    ),
    Topic(TRACES, "trace id", "source", 7 * DAY_SECONDS, False, True, 4 * _MB, "traces role", "api, users"),
    Topic(EDGES, "client>server", "source", -1, True, True, _MB, "traces role", "alerts role, api"),
    Topic(
        ANOMALIES, "series id", "source", 14 * DAY_SECONDS, False, True, _MB, "alerts role", "alerts role, api, users"
    ),
    Topic(ALERTS, "fingerprint", "source", 30 * DAY_SECONDS, False, True, _MB, "alerts role", "api, users"),
    Topic(FINDINGS, "any", 1, DAY_SECONDS, False, True, 4 * _MB, "alerts and traces roles", "alerts role"),
    Topic(CAPACITY, "topic/partition/chunk", 1, DAY_SECONDS, False, True, _MB, "alerts role", "alerts role"),
    Topic(
        CONTROL,
        "ack/target, maintenance/id, close/id, unlink/id/alert",
        1,
        -1,
        True,
        True,
        _MB,
        "streams alerts, maintenance, api",
        "alerts role, api, maintenance",
    ),
    Topic(
        DEPLOYMENTS,
        "deployment id",
        1,
        -1,
        True,
        True,
        _MB,
        "streams deployments, api",
        "alerts role, api, streams deployments",
    ),
    Topic(INCIDENTS, "incident id", "source", 30 * DAY_SECONDS, False, True, 4 * _MB, "alerts role", "api, users"),
    Topic(
        BASELINES, "profile, service, environment", 1, -1, True, True, 4 * _MB, "streams gate baseline", "api, users"
    ),
    Topic(COMMANDS, "service", 1, 7 * DAY_SECONDS, False, True, _MB, "api, streams deployments", "your deployer"),
    Topic(AUDIT, "who", 1, 90 * DAY_SECONDS, False, True, _MB, "api", "operators"),
    Topic(DEAD_LETTERS, "original key", 3, 14 * DAY_SECONDS, False, True, 16 * _MB, "all roles", "operators"),
    Topic(PROGRESS, "role/topic/partition", 1, DAY_SECONDS, False, True, _MB, "all roles", "api, users"),
    Topic(STATE, "role/topic/part", "source", -1, True, True, 16 * _MB, "all roles", "all roles at start"),
)

BY_NAME: Final = {topic.name: topic for topic in TOPICS}
