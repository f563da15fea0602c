"""The rules that workers evaluate."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, HTTPException

from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Name, example
from streams.correlate.operator import usable_rules
from streams.correlate.rule import Rule
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
