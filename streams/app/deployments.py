"""``streams deployments start | move | rollback | list``: what goes out where, as records of ``agents.deployments``."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import get_args

from streams import topics
from streams.app.control import shown
from streams.domain.command import encode_command
from streams.domain.deployment import STRATEGIES, Deployment, State, decode_deployment, encode_deployment
from streams.errors import ConfigurationError
from streams.gate.lifecycle import LifecycleConflict, Request, move, register, request
from streams.gate.rollback import requested
from streams.records import table
from streams.records.cluster import Cluster, cluster_of
from streams.settings import Settings, variable
from streams.subscribe.commandhook import tell
from streams.subscribe.commands import read_key, signed

SHOWN = 50


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The actions of ``streams deployments``."""
    actions = command.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="a version goes out: incidents that begin afterwards know of it")
    start.add_argument("id", help="of the deployment; the same id with the same words again changes nothing")
    start.add_argument("--service", required=True, help="service.name")
    start.add_argument("--version", required=True, help="service.version")
    start.add_argument("--environment", default="production")
    start.add_argument("--baseline", default="", help="the version it is held against; default: what runs beside it")
    start.add_argument("--strategy", choices=STRATEGIES, default="rolling")
    start.add_argument("--sha", default="", help="git commit")
    start.add_argument("--profile", default="default", help="of gates")
    change = actions.add_parser("move", help="into another state; what is not allowed says what is")
    change.add_argument("id")
    change.add_argument("state", choices=get_args(State))
    change.add_argument("--why", required=True)
    back = actions.add_parser("rollback", help="the signed command to roll back: shown, and sent with --execute")
    back.add_argument("id")
    back.add_argument("--why", required=True)
    back.add_argument("--execute", action="store_true", help="send it to agents.commands, for your deployer")
    for each in (start, change, back):
        each.add_argument("--by", required=True, help="who says so")
    listing = actions.add_parser("list", help=f"the newest {SHOWN}, newest first")
    listing.add_argument("--service", default="")


def run(settings: Settings, arguments: argparse.Namespace, now_ns: int) -> list[str]:
    """Does what is asked; lines to print.

    Raises:
        ConfigurationError: there is no such deployment, or the state machine does not allow it (it says what it does).
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    brokers = cluster_of(settings)
    known = read(brokers)
    if arguments.action == "list":
        found = [one for one in known.values() if arguments.service in ("", one.service)]
        return [_line(one) for one in sorted(found, key=lambda one: (-one.updated_ns, one.id))[:SHOWN]]
    before = known.get(arguments.id)
    try:
        if arguments.action == "start":
            after = register(before, _request(arguments), now_ns, arguments.by)
        elif before is None:
            raise ConfigurationError(f"there is no deployment {arguments.id!r}; `streams deployments list` shows them")
        elif arguments.action == "rollback":
            return _roll_back(settings, before, known, arguments, now_ns)
        else:
            after = move(before, arguments.state, arguments.why, arguments.by, now_ns)
    except LifecycleConflict as error:
        raise ConfigurationError(str(error)) from error
    if after is not before:
        asyncio.run(table.write(brokers, topics.DEPLOYMENTS, after.id.encode(), encode_deployment(after)))
    return [_line(after)]


def _roll_back(
    settings: Settings,
    before: Deployment,
    known: Mapping[str, Deployment],
    arguments: argparse.Namespace,
    now_ns: int,
) -> list[str]:
    """Sends the command before it says so: a command that is sent again has the same id."""
    cooldown = settings.rollback_cooldown_seconds
    after, command = requested(before, known.values(), arguments.why, arguments.by, now_ns, cooldown)
    shown_command = encode_command(command).decode()
    if not arguments.execute:
        return [f"not sent (--execute sends it): {shown_command}"]
    key = read_key(settings.commands_key_file, variable("commands_key_file"))
    value, headers = signed(key, command, now_ns)
    asyncio.run(table.write(cluster_of(settings), topics.COMMANDS, command.service.encode(), value, headers))
    if after is not before:
        asyncio.run(table.write(cluster_of(settings), topics.DEPLOYMENTS, after.id.encode(), encode_deployment(after)))
    asyncio.run(tell(settings, value, headers))
    return [f"sent: {shown_command}", _line(after)]


def read(brokers: Cluster) -> dict[str, Deployment]:
    """The newest record of each deployment; what is none is left out (the relay has told of it).

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    rows = asyncio.run(table.newest(brokers, topics.DEPLOYMENTS, decode_deployment, lambda one: one.id.encode()))
    return {one.id: one for one in rows.values()}


def _request(arguments: argparse.Namespace) -> Request:
    said = (
        *(arguments.service, arguments.version, arguments.environment, arguments.baseline),
        *(arguments.strategy, arguments.sha, arguments.profile),
    )
    if not arguments.id or not all(said[:3]):
        raise ConfigurationError("a deployment needs an id, a service, a version and an environment; none may be empty")
    return request(arguments.id, *said)


def _line(one: Deployment) -> str:
    last = one.steps[-1]
    what = f"{one.id}  {one.service} {one.version} in {one.environment}"
    return f"{what}: {one.state} since {shown(one.updated_ns)} by {last.by}: {last.reason}"
