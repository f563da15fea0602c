"""``streams gate baseline pin | show``: what later versions are held against."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson

from streams.app.control import shown
from streams.errors import ConfigurationError
from streams.records.cluster import cluster_of
from streams.settings import Settings, read_text

if TYPE_CHECKING:  # SciPy: half a second of each start of the command
    from streams.domain.baseline import Pinned


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The two actions."""
    actions = command.add_subparsers(dest="baseline", required=True)
    pin = actions.add_parser("pin", help="keep what a version measured in the closed windows of the last hour")
    pin.add_argument("--service", required=True, help="service.name")
    pin.add_argument("--version", required=True, help="service.version")
    pin.add_argument("--environment", default="", help="deployment.environment.name; default: any")
    pin.add_argument("--profile", default="pinned", help="its comparisons with `against: pinned` are measured")
    pin.add_argument("--by", required=True, help="who says so")
    pin.add_argument("--why", required=True)
    show = actions.add_parser("show", help="what is pinned")
    show.add_argument("--service", default="")
    show.add_argument("--json", action="store_true", help="one JSON array")


def run(settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """Does what is asked; lines to print.

    Raises:
        ConfigurationError: there is no such profile, or too little data. ServiceUnavailable: no broker answers.
    """
    from streams.records.baselines import all_pinned

    if arguments.baseline == "pin":
        return [_line(asyncio.run(_pin(settings, arguments)))]
    found = [one for one in asyncio.run(all_pinned(cluster_of(settings))) if arguments.service in ("", one.service)]
    if arguments.json:
        return [orjson.dumps([_body(one) for one in found]).decode()]
    return [_line(one) for one in found] or ["none"]


async def _pin(settings: Settings, arguments: argparse.Namespace) -> Pinned:
    from streams.gate.book import GateBook
    from streams.gate.profile import load_profiles
    from streams.records import baselines, gatecheck

    profiles = load_profiles(read_text(settings, "gates_path"))
    if arguments.profile not in profiles:
        raise ConfigurationError(f"there is no profile {arguments.profile!r}: {', '.join(sorted(profiles))}")
    book = GateBook(profiles[arguments.profile], arguments.service, arguments.environment, settings.pane_seconds)
    clock_ns = time.time_ns  # noqa: TID251 - the shell gives the clock
    await gatecheck.fill(settings, book, clock_ns)
    asked = baselines.Pin(arguments.version, arguments.by, arguments.why)
    return await baselines.pin(cluster_of(settings), book, asked, clock_ns)


def _line(one: Pinned) -> str:
    where = f" in {one.environment}" if one.environment else ""
    gates = ", ".join(f"{gate} {len(panes)} windows" for gate, panes in one.gates.items())
    return f"{one.profile}: {one.service} {one.version}{where}, {shown(one.at_ns)} by {one.by}: {one.why} ({gates})"


def _body(one: Pinned) -> dict[str, Any]:
    from streams.records.baselines import sizes

    return {
        **{name: getattr(one, name) for name in ("profile", "service", "environment", "version", "by", "why")},
        "at": shown(one.at_ns),
        "gates": sizes(one),
    }
