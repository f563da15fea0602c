"""``streams alerts tail`` and ``streams alerts forward``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from streams.domain.alert import SEVERITIES, AlertTransition
from streams.domain.control import VERDICTS
from streams.domain.incident import Incident
from streams.errors import ConfigurationError
from streams.records.cluster import cluster_of
from streams.settings import Settings
from streams.subscribe.stream import Event, Start, Subscription, subscribe
from streams.subscribe.target import target
from streams.subscribe.wanted import STATES, Wanted, read_labels, state_of
from streams.subscribe.webhook import Forwarder, addresses, body_of

SAID: Final = ("ack", "unack", "resolve", "merge", "unlink")
"""Actions that people take; the others follow what happens."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The actions of ``streams alerts``."""
    actions = command.add_subparsers(dest="action", required=True)
    tail = actions.add_parser("tail", help="print alerts and incidents as they happen, until a signal comes")
    tail.add_argument("--json", action="store_true", help="one JSON object a line, as `forward` sends it")
    forward = actions.add_parser("forward", help="send them to a webhook, signed, until a signal comes")
    forward.add_argument("--url", required=True, help="http(s) address of the receiver")
    forward.add_argument("--secret-file", type=Path, required=True, help="file with the secret of the signature")
    forward.add_argument("--allow-private", action="store_true", help="the receiver may be in a private network")
    for each in (tail, forward):
        each.add_argument("--group", default="", help="store the place in Kafka under this name, and go on from it")
        each.add_argument("--only", choices=("alerts", "incidents"), default="", help="default: both")
        each.add_argument("--severity", choices=SEVERITIES, default="", help="the least severe that is wanted")
        each.add_argument("--state", choices=STATES, action="append", default=[], help="may be given again")
        begin = each.add_mutually_exclusive_group()
        begin.add_argument("--since", type=float, metavar="SECONDS", help="begin with the last so many seconds")
        begin.add_argument("--from-start", action="store_true", help="begin with everything that is kept")
        each.add_argument("where", nargs="*", metavar="label=pattern", help="for example service.name=plan*")
    ack = actions.add_parser("ack", help="somebody takes it on: no more notifications until it ends")
    ack.add_argument("--for", dest="lasts", default="", metavar="TIME", help="so long instead, for example 30m, 2h, 1d")
    ack.add_argument("--verdict", choices=VERDICTS[1:], default="", help="was it worth it? Counted by alertname")
    unack = actions.add_parser("unack", help="take an ack back")
    resolve = actions.add_parser(
        "resolve", help="an incident is over; alerts of it that go on are acked until they end"
    )
    merge = actions.add_parser("merge", help="an incident is a part of another")
    unlink = actions.add_parser("unlink", help="an alert does not belong to an incident: it gets one of its own")
    for each in (ack, unack, resolve, merge, unlink):
        name = "fingerprint of an alert, or incident id" if each in (ack, unack) else "incident id"
        each.add_argument("target", help=name)
        each.add_argument("--by", required=True, help="who says so")
        each.add_argument("--why", required=True)
    merge.add_argument("into", help="id of the incident that takes its alerts over")
    unlink.add_argument("fingerprint", help="of the alert")


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs an action until SIGINT or SIGTERM; returns the exit code.

    Raises:
        ConfigurationError: an argument cannot be. ServiceUnavailable: no broker, or the topics are missing.
    """
    wanted = Wanted(arguments.severity, frozenset(arguments.state), read_labels(arguments.where))
    if arguments.action == "forward":
        if not arguments.group:
            raise ConfigurationError("forward needs --group: under it the place is stored")
        work: Any = partial(_forward, forwarder(arguments))
    else:
        work = partial(_tail, as_json=arguments.json)
    asyncio.run(_until_signal(settings, arguments, wanted, work))
    return 0


def forwarder(arguments: argparse.Namespace) -> Forwarder:
    """As the arguments say; the target is looked up once, so that a wrong one is told at once."""
    try:
        secret = arguments.secret_file.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"--secret-file {arguments.secret_file}: {error.strerror}") from None
    if len(secret) < 16:
        raise ConfigurationError("the secret must have at least 16 characters")
    where = partial(target, arguments.url, addresses, private=arguments.allow_private)
    where()
    return Forwarder(where, secret, time.time)  # noqa: TID251 - the shell gives the clock


async def _until_signal(settings: Settings, arguments: argparse.Namespace, wanted: Wanted, work: Any) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    only, cluster = arguments.only, cluster_of(settings)
    with suppress(asyncio.CancelledError):
        async with subscribe(
            str(cluster),
            security=cluster.security,
            group=arguments.group,
            wanted=wanted,
            incidents=only != "alerts",
            alerts=only != "incidents",
            start=_start(arguments),
        ) as events:
            await work(events)


def _start(arguments: argparse.Namespace) -> Start:
    if arguments.from_start:
        return Start(0)
    if arguments.since is None:
        return Start()
    return Start(max(1, round((time.time() - arguments.since) * 1e3)))  # noqa: TID251 - the shell reads the clock


async def _forward(sender: Forwarder, events: Subscription) -> None:
    try:
        await sender.run(events)
    finally:
        sys.stderr.write(f"sent {sender.sent}, refused {sender.refused}, attempts that failed {sender.retried}\n")


async def _tail(events: Subscription, *, as_json: bool) -> None:
    async for event in events:
        text = body_of(event).decode() if as_json else "\n".join(lines(event))
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        await events.done(event)


def lines(event: Event) -> Iterator[str]:
    """An event for a person: one line for an alert, some for an incident."""
    if event.alert is not None:
        yield _alert(event.alert)
    elif event.incident is not None:
        yield from _incident(event.incident)


def _alert(alert: AlertTransition) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(alert.identity.items()) if name != "alertname")
    text = alert.annotations.get("summary", "")
    if alert.suppressed:
        text = f"{text} ({alert.suppressed} {alert.suppressed_by}".rstrip() + f", incident {alert.incident_id})"
    return f"{_time(alert.at_ns)}  {state_of(alert):10}  {alert.severity:8}  {alert.alertname}  {text}  [{labels}]"


def _incident(incident: Incident) -> Iterator[str]:
    alerts = len(incident.members)
    counted = f"{alerts} alert{'s' if alerts != 1 else ''}"
    yield (
        f"{_time(incident.updated_at_ns)}  {incident.status:10}  {incident.severity:8}  "
        f"INCIDENT {incident.incident_id}  {incident.title}  ({counted})"
    )
    for number, cause in enumerate(incident.causes[:3], 1):
        yield f"{'':24}{number}. {cause.kind} {cause.place} ({cause.score:.2f}): {'; '.join(cause.reasons)}"


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
