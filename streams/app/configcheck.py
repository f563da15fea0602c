"""``streams config check`` and ``streams topics acls``: settings and rules, what we may do at the brokers and must."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from streams.app.admin import check_topics
from streams.app.topicids import authorized_operations
from streams.correlate.operator import usable_rules
from streams.errors import ServiceUnavailable
from streams.records.cluster import cluster_of
from streams.records.rights import ROLES, commands, missing, rights
from streams.settings import Settings, read_text, unknown_variables
from streams.topics import TOPICS


def run(settings: Settings, principals: Sequence[str], *, kafka: bool) -> tuple[int, list[str]]:
    """Exit code and what to print: the rules file, names of variables, and with ``kafka`` what :func:`check` finds.

    Raises:
        ConfigurationError: the rules file. More as in :func:`check`.
    """
    rules = usable_rules(read_text(settings, "thresholds_path"), settings.pane_seconds)
    lines = [f"warning: {line}" for line in unknown_variables()]
    lines.append(f"settings are valid; {len(rules)} rules in {settings.thresholds_path}")
    code, line = asyncio.run(check(settings, principals)) if kafka else (0, "")
    return code, [*lines, *([line] if line else [])]


async def check(settings: Settings, principals: Sequence[str]) -> tuple[int, str]:
    """Topics as workers need them, and the rights of these principals (default: of the roles that are set).

    Returns:
        Exit code (0, or 2 where a right is missing) and what to print.

    Raises:
        ServiceUnavailable: no broker answers, or topics are missing.
        ConfigurationError: topics have another number of partitions than the settings say.
    """
    cluster = cluster_of(settings)
    await check_topics(settings)
    try:
        authorized = await authorized_operations(cluster, [topic.name for topic in TOPICS])
    except KafkaError as error:
        raise ServiceUnavailable(f"the brokers at {cluster} do not say what we may do: {error}") from error
    asked = principals or (ROLES if settings.role == "all" else (settings.role,))
    wanted = [right for right in rights(settings.group_prefix) if right.principal in asked]
    lacking = missing(wanted, authorized)
    lines = [f"{right.principal} needs {right.operation} on topic {right.name}" for right in lacking]
    if lines:
        return 2, "\n".join([*lines, "`streams topics acls` prints the lists that grant it"])
    return 0, f"{len(TOPICS)} topics are there; {', '.join(asked)} may do with them what is needed"


def acls(settings: Settings, prefix: str) -> list[str]:
    """Lines of a shell script that grants every role its rights."""
    return commands(rights(settings.group_prefix), prefix, settings.brokers)
