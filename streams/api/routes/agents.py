"""Agents: who is alive, and how each did lately."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path
from pydantic import BeforeValidator

from streams.api.agents.query import SORTS, Asked, Moment
from streams.api.agents.query import Status as State
from streams.api.board.query import Asked as AskedBoard
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.words import Cursor, Limit, Word, example

router = APIRouter(prefix="/api/v1/monitoring/agents", tags=["monitoring"], dependencies=[needs("read")])
Status = Literal["", *State.__args__]  # type: ignore[valid-type]
Sort = Literal[SORTS]  # type: ignore[valid-type]
Window = Annotated[Literal[60, 300, 3600], BeforeValidator(int)]  # a query is text
NOW = "2026-01-31T22:00:00.000Z"
AGENT = {
    "agent_id": "planner-1",
    "name": "planner",
    "type": "planning",
    "service": "shop",
    "version": "2.0",
    "environment": "production",
    "status": "alive",
    "first_seen": "2026-01-31T21:00:00.000Z",
    "last_seen": NOW,
    "memory_bytes": 20971520.0,
    "cpu_ratio": 0.12,
    "steps": 240.0,
    "error_ratio": 0.01,
    "inferences": 240,
    "p95_inference_seconds": 0.31,
    "sessions": 2.0,
    "free_energy": 2.4,
    "belief_accuracy_ratio": 0.81,
    "alerts_firing": 1,
}
PANE = {"start": NOW, "memory_bytes": 20971520.0, "cpu_ratio": 0.12, "steps": 8.0, "failed_steps": 0.0}
MOST_ALERTS = 100


@router.get(
    "", responses={200: example({"as_of": NOW, "newest_window": NOW, "window_seconds": 300, "agents": [AGENT]})}
)
def agents(
    shared: Shared,
    agent_type: Word = "",
    service: Word = "",
    status: Status = "",
    sort: Sort = "agent_id",
    window: Window = 300,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Agents of the last hour with their figures of the window (null: not measured); by a figure the largest first.

    ``silent``: in none of the newest three windows; ``no_data``: no window ended for two minutes, so nobody knows.
    """
    asked = Asked(agent_type, service, status, sort, window)
    try:
        page = shared.from_agents(lambda reader: reader.page(asked, _moment(shared), limit=limit, cursor=cursor))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    firing = shared.from_board(lambda board: board.firing([one["agent_id"] for one in page.agents]))
    found = [_timed(one) | {"alerts_firing": firing.get(one["agent_id"], 0)} for one in page.agents]
    return _answer(shared, window_seconds=window, agents=found, next_cursor=page.next_cursor)


@router.get(
    "/{agent_id:path}",
    responses={200: example({"as_of": NOW, "newest_window": NOW, "agent": AGENT, "panes": [PANE], "alerts": []})},
)
def agent(
    shared: Shared, agent_id: Annotated[str, Path(min_length=1, max_length=256)], window: Window = 300
) -> dict[str, Any]:
    """One agent: its figures, its windows oldest first, its alerts that fire and its newest anomalies."""
    found = shared.from_agents(lambda reader: reader.agent(agent_id, _moment(shared), window))
    if found is None:
        raise HTTPException(404, f"there is no agent {agent_id}, or it was silent for an hour")
    mine = AskedBoard(state="firing", agent=agent_id)
    alerts = shared.from_board(lambda board: board.page("alerts", mine, limit=MOST_ALERTS)).items
    anomalies = shared.from_board(lambda board: board.page("anomalies", AskedBoard(agent=agent_id), limit=20)).items
    panes = [_timed(pane) for pane in found.pop("panes")]
    shown = _timed(found) | {"alerts_firing": len(alerts)}
    return _answer(shared, window_seconds=window, agent=shown, panes=panes, alerts=alerts, anomalies=anomalies)


def _moment(shared: Context) -> Moment:
    return Moment(shared.clock_ns(), shared.settings.pane_seconds)


def _answer(shared: Context, **content: Any) -> dict[str, Any]:
    newest_ns = shared.from_agents(lambda reader: reader.newest_ns())
    return shared.envelope(newest_window=rfc3339(newest_ns) if newest_ns else None, **content)


def _timed(one: dict[str, Any]) -> dict[str, Any]:
    """With times as the API gives them."""
    return {key.removesuffix("_ns"): rfc3339(value) if key.endswith("_ns") else value for key, value in one.items()}
