"""Alerts, incidents, anomalies, the service map."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, HTTPException

from streams.api.board.query import Asked
from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Cursor, Id, Limit, Seconds, Severity, Word

router = APIRouter(prefix="/api/v1", dependencies=[needs("read")])


def page(shared: Context, kind: str, asked: Asked, limit: int, cursor: str) -> dict[str, Any]:
    """A page of a list of the board; 422 where the cursor is none of this list's."""
    try:
        found = shared.from_board(lambda board: board.page(kind, asked, limit=limit, cursor=cursor))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return shared.envelope(**{kind: found.items, "next_cursor": found.next_cursor})


def since_ns(shared: Context, seconds: float) -> int:
    """Where the last so many seconds begin; 0 = any time."""
    return shared.clock_ns() - round(seconds * 1e9) if seconds else 0


@router.get("/alerts", tags=["alerts"])
def alerts(
    shared: Shared,
    state: Literal["", "pending", "firing", "resolved"] = "",
    severity: Severity = "",
    alertname: Word = "",
    service: Word = "",
    agent_id: Word = "",
    environment: Word = "",
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Episodes of alerts, the one that changed last first."""
    asked = Asked(state, severity, alertname, "", service, agent_id, environment, since_ns(shared, since_seconds))
    return page(shared, "alerts", asked, limit, cursor)


@router.get("/alerts/{fingerprint}", tags=["alerts"])
def alert(shared: Shared, fingerprint: Id) -> dict[str, Any]:
    """The episodes of one alert, newest first."""
    found = shared.from_board(lambda board: board.episodes(fingerprint))
    if not found:
        raise HTTPException(404, f"there is no alert {fingerprint}")
    return shared.envelope(episodes=found)


@router.get("/incidents", tags=["incidents"])
def incidents(
    shared: Shared,
    status: Literal["", "open", "resolved", "merged"] = "",
    severity: Severity = "",
    environment: Word = "",
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Incidents, the one that changed last first."""
    asked = Asked(status, severity, environment=environment, since_ns=since_ns(shared, since_seconds))
    return page(shared, "incidents", asked, limit, cursor)


@router.get("/incidents/{incident_id}", tags=["incidents"])
def incident(shared: Shared, incident_id: Id) -> dict[str, Any]:
    """One incident, with its causes, reasons and members."""
    found = shared.from_board(lambda board: board.incident(incident_id))
    if found is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    return shared.envelope(incident=found)


@router.get("/anomalies", tags=["anomalies"])
def anomalies(
    shared: Shared,
    metric: Word = "",
    service: Word = "",
    agent_id: Word = "",
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Findings of detectors, newest first: value, expected band, score."""
    asked = Asked(metric=metric, service=service, agent=agent_id, since_ns=since_ns(shared, since_seconds))
    return page(shared, "anomalies", asked, limit, cursor)


@router.get("/topology", tags=["topology"])
def topology(shared: Shared, since_seconds: Seconds = 3_600) -> dict[str, Any]:
    """Services, and who calls whom."""
    edges = shared.from_board(lambda board: board.edges(since_ns(shared, since_seconds)))
    nodes = sorted({edge[end] for edge in edges for end in ("client", "server")})
    return shared.envelope(nodes=[{"service": node} for node in nodes], edges=edges)
