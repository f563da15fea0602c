"""What the agents did lately, and what fires: the figures of a status line."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BeforeValidator

from streams import topics
from streams.api.agents.activity import Activity
from streams.api.agents.query import STALE_SECONDS, Moment
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.words import example
from streams.domain.progress import PROGRESS_SECONDS
from streams.errors import ServiceUnavailable

router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"], dependencies=[needs("read")])
Window = Annotated[Literal[60, 300, 3600], BeforeValidator(int)]  # a query is text
SILENT_NS = round(6 * PROGRESS_SECONDS * 1e9)
"""A worker that has not told of a partition for so long does not own it, or is gone."""
BROKER_SECONDS = 2.0
"""A status line does not wait for longer."""
NOW = "2026-01-31T22:00:00.000Z"
STATS = {
    "as_of": NOW,
    "status": "ok",
    "newest_window": NOW,
    "window_seconds": 300,
    "agents": {"active": 12, "by_status": {"alive": 12}, "started": 2.0, "stopped": 0.0, "crashed": 0.0},
    "steps": {"count": 2400.0, "error_ratio": 0.01},
    "inferences": {
        "count": 2400.0,
        "error_ratio": 0.002,
        "timed": 2400,
        "p50_seconds": 0.02,
        "p95_seconds": 0.05,
        "p99_seconds": 0.2,
    },
    "coordination": {"requests": 120.0, "success_ratio": 0.99, "p95_seconds": 1.1, "sessions": 3.0},
    "beliefs": {"updates": 2400.0, "error_ratio": 0.0, "accuracy_ratio": 0.81, "free_energy": 2.4},
    "tokens": {"input": 61000.0, "output": 12000.0},
    "alerts_firing": {"high": 1},
    "incidents_open": {"high": 1},
    "pipeline": {
        "windows_age_seconds": 12.0,
        "watermark_delay_seconds": 2.5,
        "lag_records": 40,
        "lag_seconds": 0.2,
        "late": 0,
        "duplicate": 3,
        "rejected": 0,
        "overflow": 0,
        "dead_letters": 0,
        "partitions": 24,
        "partitions_silent": 0,
    },
}


@router.get("/stats", responses={200: example(STATS)})
async def stats(shared: Shared, window: Window = 300) -> dict[str, Any]:
    """What agents did in the window, and how far the pipeline is; null: not measured.

    What fires and what is open, by severity.

    ``status`` is ``no_data`` where no window ended for two minutes: then no figure of agents is given, because none
    is of now.
    """
    now_ns = shared.clock_ns()
    dead = await _dead_letters(shared, now_ns // 1_000_000 - 1_000 * window)
    return await asyncio.to_thread(_read, shared, now_ns, window, dead)


async def _dead_letters(shared: Context, since_ms: int) -> int | None:
    """Records that could not be used; None where the brokers do not say so in time."""
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            return await shared.ledger.appended(topics.DEAD_LETTERS, since_ms)
    except (ServiceUnavailable, TimeoutError):
        return None


def _read(shared: Context, now_ns: int, window: int, dead: int | None) -> dict[str, Any]:
    moment = Moment(now_ns, shared.settings.pane_seconds)
    newest_ns, statuses = shared.from_agents(lambda reader: (reader.newest_ns(), reader.statuses(moment)))
    age_seconds = max(now_ns - newest_ns, 0) / 1e9 if newest_ns else None
    known = age_seconds is not None and age_seconds <= STALE_SECONDS
    since_ns = newest_ns - window * 10**9
    done = shared.from_agents(lambda reader: reader.activity(since_ns)) if known else Activity()
    firing = shared.from_board(lambda board: board.counts())
    far = shared.from_board(lambda board: board.progress(now_ns - window * 10**9, now_ns - SILENT_NS))
    return shared.envelope(
        status="ok" if known else "no_data",
        newest_window=rfc3339(newest_ns) if newest_ns else None,
        window_seconds=window,
        agents={
            "active": statuses.get("alive", 0) if known else None,
            "by_status": statuses,
            **{name: done.counts.get(name, 0.0) if known else None for name in ("started", "stopped", "crashed")},
        },
        **_work(done),
        alerts_firing=firing["alerts"],
        incidents_open=firing["incidents"],
        pipeline={
            "windows_age_seconds": age_seconds,
            "watermark_delay_seconds": far.watermark_delay_seconds,
            "lag_records": far.lag_records,
            "lag_seconds": far.lag_seconds,
            **far.fates,
            "dead_letters": dead,
            "partitions": far.partitions,
            "partitions_silent": far.silent,
        },
    )


def _work(done: Activity) -> dict[str, dict[str, Any]]:
    asked = done.ratio("coordination_failed", "coordination")
    inference = done.times.get("inference")
    return {
        "steps": {"count": done.counts.get("steps"), "error_ratio": done.ratio("steps_failed", "steps")},
        "inferences": {
            "count": done.counts.get("inferences"),
            "error_ratio": done.ratio("inferences_failed", "inferences"),
            "timed": inference.count if inference is not None else None,
            **{f"{name}_seconds": done.quantile("inference", name) for name in ("p50", "p95", "p99")},
        },
        "coordination": {
            "requests": done.counts.get("coordination"),
            "success_ratio": None if asked is None else 1.0 - asked,
            "p95_seconds": done.quantile("coordination_time", "p95"),
            "sessions": done.sessions,
        },
        "beliefs": {
            "updates": done.counts.get("updates"),
            "error_ratio": done.ratio("updates_failed", "updates"),
            "accuracy_ratio": done.ratio("correct", "predictions"),
            "free_energy": done.ratio("energy", "energy_values"),
        },
        "tokens": {"input": done.counts.get("tokens_in"), "output": done.counts.get("tokens_out")},
    }
