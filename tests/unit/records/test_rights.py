"""Rights follow from the table of topics: who reads, who writes, and which are missing."""

from __future__ import annotations

import pytest

from streams import topics
from streams.records.rights import OPERATIONS, PRINCIPALS, Right, commands, missing, rights

ALL = rights("agent-streams")


def may(who: str, operation: str) -> set[str]:
    return {right.name for right in ALL if (right.principal, right.operation, right.kind) == (who, operation, "topic")}


@pytest.mark.parametrize(
    ("who", "writes"),
    [
        ("emitter", {topics.METRICS, topics.SPANS, topics.LOGS}),
        ("collector", {topics.OTLP_METRICS, topics.OTLP_SPANS, topics.OTLP_LOGS}),
        ("users", {topics.CONTROL, topics.DEPLOYMENTS, topics.COMMANDS, topics.BASELINES}),
        ("deployer", set()),
        ("api", {topics.CONTROL, topics.DEPLOYMENTS, topics.COMMANDS, topics.AUDIT}),
        (
            "alerts",
            {
                *(topics.ANOMALIES, topics.ALERTS, topics.INCIDENTS, topics.FINDINGS, topics.CAPACITY),
                *(topics.DEAD_LETTERS, topics.STATE, topics.PROGRESS),
            },
        ),
    ],
)
def test_who_writes_what(who: str, writes: set[str]) -> None:
    assert may(who, "Write") == writes


def test_agents_and_collectors_read_nothing_and_users_only_what_is_public() -> None:
    assert may("emitter", "Read") == may("collector", "Read") == set()
    public = {topics.WINDOWS, topics.TRACES, topics.ANOMALIES, topics.ALERTS, topics.INCIDENTS}
    said = {topics.CONTROL, topics.DEPLOYMENTS}
    assert may("users", "Read") == {
        *public,
        *said,
        topics.BASELINES,
        topics.AUDIT,
        topics.DEAD_LETTERS,
        topics.PROGRESS,
    }
    assert may("deployer", "Read") == {topics.COMMANDS}


def test_every_topic_has_somebody_who_writes_and_somebody_who_reads() -> None:
    for topic in topics.TOPICS:
        for operation in ("Write", "Read"):
            assert any(topic.name in may(who, operation) for who in PRINCIPALS), (topic.name, operation)
    assert {right.principal for right in ALL} == set(PRINCIPALS)


def test_a_group_belongs_to_one_role() -> None:
    groups = {(right.principal, right.name) for right in ALL if right.kind == "group"}
    roles = {(role, f"agent-streams-{role}") for role in ("metrics", "traces", "alerts")}
    assert groups == {*roles, ("users", "users-")}


def test_lines_grant_every_right_once() -> None:
    lines = commands(ALL, "p-", "b:1")
    granted = [
        Right(line.split("User:p-")[1].split()[0], line.split("--operation ")[1].split()[0], kind, name)
        for line in lines
        for kind in ("topic", "group")
        for name in [part.split()[0] for part in line.split(f"--{kind} ")[1:]]
    ]
    assert sorted(granted) == ALL
    assert all(("--group" in line) == ("prefixed" in line) for line in lines)


def test_what_is_missing_is_told_by_bits() -> None:
    wanted = [
        Right("api", "Read", "topic", "a"),
        Right("api", "Write", "topic", "a"),
        Right("api", "Read", "group", "g"),
    ]
    read, write = (1 << OPERATIONS[name] for name in ("Read", "Write"))
    assert missing(wanted, {"a": read | write}) == []
    assert missing(wanted, {"a": read}) == [wanted[1]]
    assert missing(wanted, {}) == wanted[:2]
