"""``streams alerts ack | unack | resolve | merge | unlink``, ``streams maintenance``: records of ``agents.control``."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from streams import topics
from streams.domain.control import Ack, Close, Control, Maintenance, Unlink, control_key, decode_control, encode_control
from streams.domain.selector import Conditions
from streams.errors import ConfigurationError
from streams.records import table
from streams.records.cluster import Cluster

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The actions of ``streams maintenance``."""
    actions = command.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="alerts that match are not notified for a while")
    end = actions.add_parser("end", help="end it now")
    for each in (add, end):
        each.add_argument("name", help="what it is called; adding it again replaces it")
        each.add_argument("--by", required=True, help="who says so")
        each.add_argument("--why", required=True)
    add.add_argument("--for", dest="lasts", required=True, metavar="TIME", help="for example 30m, 2h, 1d")
    add.add_argument(
        "--begin", default="", metavar="TIME", help="RFC 3339, for example 2026-01-31T22:00Z; default: now"
    )
    add.add_argument("where", nargs="+", metavar="label=pattern", help="all must hold, for example service.name=plan*")
    actions.add_parser("list", help="what is in force or still to come")


def control_of(arguments: argparse.Namespace, now_ns: int) -> Ack | Close | Unlink:
    """What ``streams alerts ack``, ``unack``, ``resolve``, ``merge`` and ``unlink`` say.

    Raises:
        ConfigurationError: an argument cannot be.
    """
    if arguments.action in ("resolve", "merge"):
        into = getattr(arguments, "into", "")
        if into == arguments.target:
            raise ConfigurationError("an incident cannot be a part of itself")
        return Close(arguments.target, arguments.by, arguments.why, now_ns, into)
    if arguments.action == "unlink":
        return Unlink(arguments.target, arguments.fingerprint, arguments.by, arguments.why, now_ns)
    until_ns = now_ns + lasting_ns(arguments.lasts) if getattr(arguments, "lasts", "") else 0
    cleared, verdict = arguments.action == "unack", getattr(arguments, "verdict", "")
    return Ack(arguments.target, arguments.by, arguments.why, now_ns, until_ns, cleared, verdict)


def maintain(brokers: Cluster, arguments: argparse.Namespace, now_ns: int) -> list[str]:
    """Does what ``streams maintenance`` asks for; lines to print.

    Raises:
        ConfigurationError: an argument cannot be. ServiceUnavailable: no broker answers, or the topic is missing.
    """
    if arguments.action == "add":
        begin_ns = _moment_ns(arguments.begin) if arguments.begin else now_ns
        end_ns = begin_ns + lasting_ns(arguments.lasts)
        if end_ns <= now_ns:
            raise ConfigurationError(f"it would have ended at {shown(end_ns)}")
        made = Maintenance(arguments.name, _where(arguments.where), arguments.by, arguments.why, begin_ns, end_ns)
        say(brokers, made)
        return [_line(made)]
    known = [m for m in said(brokers) if isinstance(m, Maintenance) and not m.cleared and m.ends_at_ns > now_ns]
    if arguments.action == "list":
        return [_line(m) for m in sorted(known, key=lambda m: (m.starts_at_ns, m.id))]
    found = next((m for m in known if m.id == arguments.name), None)
    if found is None:
        raise ConfigurationError(
            f"no maintenance {arguments.name!r} is in force; `streams maintenance list` shows them"
        )
    say(brokers, replace(found, by=arguments.by, why=arguments.why, cleared=True))
    return [f"ended {found.id}"]


def say(brokers: Cluster, control: Control) -> None:
    """Writes one record and waits until the brokers have it.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    asyncio.run(table.write(brokers, topics.CONTROL, control_key(control), encode_control(control)))


def said(brokers: Cluster) -> list[Control]:
    """The newest record of each key; what is no control record is left out (the relay has told of it).

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    return list(asyncio.run(table.newest(brokers, topics.CONTROL, decode_control, control_key)).values())


def lasting_ns(text: str) -> int:
    """``90s``, ``30m``, ``2h``, ``1d`` in nanoseconds.

    Raises:
        ConfigurationError: it is none of these, or not above 0.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None or not int(found[1]):
        raise ConfigurationError(f"{text!r} is no length of time; write for example 90s, 30m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]] * 10**9


def _moment_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigurationError(f"{text!r} is no time; write for example 2026-01-31T22:00Z")
    return round(moment.timestamp()) * 10**9


def _where(texts: Sequence[str]) -> Conditions:
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        label, _, value = text.partition("=")
        if not label or not value:
            raise ConfigurationError(f"{text!r} is no condition; write label=pattern, for example service.name=plan*")
        found[label] = (*found.get(label, ()), value)
    return tuple(sorted(found.items()))


def _line(maintenance: Maintenance) -> str:
    where = " ".join(f"{label}={value}" for label, values in maintenance.where for value in values)
    times = f"{shown(maintenance.starts_at_ns)} to {shown(maintenance.ends_at_ns)}"
    return f"{maintenance.id}  {times}  {where}  by {maintenance.by}: {maintenance.why}"


def shown(at_ns: int) -> str:
    """RFC 3339 in whole seconds, UTC: as people write and read it here."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).isoformat().replace("+00:00", "Z")
