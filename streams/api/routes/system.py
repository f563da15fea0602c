"""How the agents and the pipeline are, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from fastapi import APIRouter

from streams.api.agents.query import STALE_SECONDS, Moment, Totals
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.words import example
from streams.correlate.rule import Baseline
from streams.correlate.rules import load_thresholds
from streams.settings import read_text

router = APIRouter(prefix="/api/v1/system", tags=["monitoring"], dependencies=[needs("read")])
WINDOW_SECONDS = 60
NOW = "2026-01-31T22:00:00.000Z"
CHECK = {
    "name": "agent_memory_max",
    "value": 20971520.0,
    "unit": "By",
    "warning": 33554432.0,
    "critical": 36175872.0,
    "better": "lower",
    "status": "ok",
}
HEALTH = {
    "as_of": NOW,
    "status": "healthy",
    "newest_window": NOW,
    "window_seconds": WINDOW_SECONDS,
    "checks": [CHECK],
    "agents": {"alive": 12},
    "feeders": [{"name": "board", "ok": True, "caught_up": True, "detail": ""}],
    "topics": [{"topic": "agents.alerts", "records": 120, "newest_record": NOW}],
}
_thresholds = lru_cache(maxsize=4)(load_thresholds)
"""By the file's text: reading YAML takes longer than all the rest."""


@router.get("/metrics/health", responses={200: example(HEALTH)})
def health(shared: Shared) -> dict[str, Any]:
    """``healthy``, ``degraded`` (a warning, a feeder that does not run), ``unhealthy`` (a critical one) or ``no_data``.

    Checks are figures of all agents over the newest minute, against the baselines of the rules file; ``windows_age``
    says how long ago the newest closed window ended: what is older tells nothing of now.
    """
    now_ns = shared.clock_ns()
    moment = Moment(now_ns, shared.settings.pane_seconds)
    newest_ns, totals, windows = shared.from_agents(
        lambda reader: (reader.newest_ns(), reader.totals(moment, WINDOW_SECONDS), reader.offsets())
    )
    checks = [*_checks(shared, totals), _age(newest_ns, now_ns)]
    feeders = list(_feeders(shared))
    return shared.envelope(
        status=_status(checks, feeders, known=bool(newest_ns)),
        newest_window=rfc3339(newest_ns) if newest_ns else None,
        window_seconds=WINDOW_SECONDS,
        checks=checks,
        agents=totals.by_status,
        feeders=feeders,
        topics=[
            {"topic": topic, "records": records, "newest_record": rfc3339(at_ns)}
            for topic, records, at_ns in sorted((*shared.from_board(lambda board: board.offsets()), *windows))
        ],
    )


def _checks(shared: Context, totals: Totals) -> Iterator[dict[str, Any]]:
    baselines = _thresholds(read_text(shared.settings, "thresholds_path")).baselines
    for name, value in totals.figures.items():
        if name in baselines:
            yield _check(name, value, baselines[name])


def _check(name: str, value: float | None, baseline: Baseline) -> dict[str, Any]:
    limits = {"warning": baseline.warning, "critical": baseline.critical, "better": baseline.direction}
    status = "no_data" if value is None else baseline.judged(value)
    return {"name": name, "value": value, "unit": baseline.unit, **limits, "status": status}


def _age(newest_ns: int, now_ns: int) -> dict[str, Any]:
    baseline = Baseline("windows_age", "s", "lower", 0.0, STALE_SECONDS / 2, STALE_SECONDS)
    return _check("windows_age", max(now_ns - newest_ns, 0) / 1e9 if newest_ns else None, baseline)


def _feeders(shared: Context) -> Iterator[dict[str, Any]]:
    for name, caught_up in shared.caught_up.items():
        detail = shared.failures.get(name, "")
        yield {"name": name, "ok": not detail, "caught_up": caught_up.is_set(), "detail": detail}


def _status(checks: list[dict[str, Any]], feeders: list[dict[str, Any]], *, known: bool) -> str:
    found = {check["status"] for check in checks}
    if not known:
        return "no_data"
    if "critical" in found:
        return "unhealthy"
    well = "warning" not in found and all(feeder["ok"] and feeder["caught_up"] for feeder in feeders)
    return "healthy" if well else "degraded"
