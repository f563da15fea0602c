"""The rules that workers evaluate, and others tried on what has been."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field

from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Body, Name, example
from streams.correlate.operator import usable_rules
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.errors import ConfigurationError
from streams.records.rulereplay import summary
from streams.settings import read_text

router = APIRouter(prefix="/api/v1", tags=["rules"], dependencies=[needs("read")])
RULE = {
    "name": "AgentMemoryHigh",
    "kind": "threshold",
    "unit": "By",
    "statistic": "max",
    "hash": "0123456789abcdef",
    "levels": [{"severity": "critical", "op": ">", "threshold": 36175872, "clear": 35127296, "for_seconds": 120}],
}
OUTCOME = {"fired": 2, "pending": 3, "resolved": 1, "groups": 2, "worst": "high", "began_ns": [1769896800000000000]}
REPLAYED = {
    "as_of": "2026-01-31T22:00:00.000Z",
    "since_seconds": 3600,
    "windows": 360,
    "unreadable_records": 0,
    "rules": {"AgentMemoryHigh": OUTCOME},
}
REPLAY_SECONDS: Final = 60.0
Operator = Annotated[str, needs("operate")]
_usable = lru_cache(maxsize=4)(usable_rules)
"""By the file's text: reading YAML takes longer than all the rest."""


@router.get("/rules", responses={200: example({"as_of": "2026-01-31T22:00:00.000Z", "rules": [RULE]})})
def rules(shared: Shared) -> dict[str, Any]:
    """The rules file as it is now, which workers read again when it changes; ``hash`` changes with a rule's meaning."""
    return shared.envelope(rules=[_shown(rule) for rule in _read(shared)])


@router.get("/rules/{name}", responses={200: example({"as_of": "2026-01-31T22:00:00.000Z", "rule": RULE})})
def rule(shared: Shared, name: Name) -> dict[str, Any]:
    """One rule."""
    found = next((one for one in _read(shared) if one.name == name), None)
    if found is None:
        raise HTTPException(404, f"there is no rule {name}")
    return shared.envelope(rule=_shown(found))


def _read(shared: Context) -> tuple[Rule, ...]:
    """Raises ConfigurationError where a worker would refuse the file too."""
    return _usable(read_text(shared.settings, "thresholds_path"), shared.settings.pane_seconds)


def _shown(found: Rule) -> dict[str, Any]:
    return {**asdict(found), "hash": found.hash}


class Replay(Body):
    """Rules, and over which time they are tried."""

    rules: Annotated[str, Field(max_length=500_000, description="a rules file, YAML; empty: the one in force")] = ""
    since_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600

    model_config = ConfigDict(json_schema_extra={"examples": [{"rules": "", "since_seconds": 3600}]})


@router.post("/rules/replay", responses={200: example(REPLAYED, "By rule: alerts that would have fired.")})
async def replay(shared: Shared, _by: Operator, body: Replay) -> dict[str, Any]:
    """What rules would have told, from the windows that Kafka still has; nobody is told. As ``streams rules replay``.

    One at a time. 422 where a worker would refuse the rules, 503 where it takes longer than a minute: ask for less.
    """
    rules = await asyncio.to_thread(_tried, shared, body.rules)
    async with shared.rehearsing:
        rehearsal, unreadable = await asyncio.to_thread(_rehearsed, shared, rules, body.since_seconds)
    return shared.stamped(since_seconds=body.since_seconds, **summary(rehearsal, unreadable))


def _tried(shared: Context, text: str) -> tuple[Rule, ...]:
    if not text.strip():
        return _read(shared)
    try:
        return usable_rules(text, shared.settings.pane_seconds)
    except ConfigurationError as error:
        raise HTTPException(422, f"these rules cannot be used: {error}") from error


def _rehearsed(shared: Context, rules: Sequence[Rule], since_seconds: int) -> tuple[Rehearsal, int]:
    """In a thread and a loop of its own: reading a day of windows is work, and nobody else must wait for it."""

    async def bounded() -> tuple[Rehearsal, int]:
        async with asyncio.timeout(REPLAY_SECONDS):
            return await shared.rehearse(shared.settings, rules, shared.clock_ns() - since_seconds * 10**9)

    try:
        return asyncio.run(bounded())
    except TimeoutError as error:
        raise HTTPException(503, f"it took longer than {REPLAY_SECONDS:g} s: ask for less") from error
