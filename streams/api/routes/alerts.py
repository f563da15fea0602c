"""Alerts, incidents, anomalies, the service map."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query

from streams.api.board.query import MAX_LIMIT, Asked
from streams.api.context import Shared, needs

router = APIRouter(prefix="/api/v1", dependencies=[needs("read")])
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Seconds = Annotated[float, Query(ge=0, le=315_360_000, description="only of the last so many seconds; 0 = any time")]
Word = Annotated[str, Query(max_length=256)]
Cursor = Annotated[str, Query(max_length=2_000, description="next_cursor of the page before")]
Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Severity = Literal["", "critical", "high", "warning", "info"]


def _page(shared: Shared, kind: str, asked: Asked, limit: int, cursor: str) -> dict[str, Any]:
    try:
        page = shared.from_board(lambda board: board.page(kind, asked, limit=limit, cursor=cursor))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return shared.envelope(**{kind: page.items, "next_cursor": page.next_cursor})


def _since(shared: Shared, seconds: float) -> int:
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
    asked = Asked(state, severity, alertname, "", service, agent_id, environment, _since(shared, since_seconds))
    return _page(shared, "alerts", asked, limit, cursor)


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
    asked = Asked(status, severity, environment=environment, since_ns=_since(shared, since_seconds))
    return _page(shared, "incidents", asked, limit, cursor)


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
    since_ns = _since(shared, since_seconds)
    asked = Asked(metric=metric, service=service, agent=agent_id, since_ns=since_ns)
    return _page(shared, "anomalies", asked, limit, cursor)


@router.get("/topology", tags=["topology"])
def topology(shared: Shared, since_seconds: Seconds = 3_600) -> dict[str, Any]:
    """Services, and who calls whom."""
    edges = shared.from_board(lambda board: board.edges(_since(shared, since_seconds)))
    nodes = sorted({edge[end] for edge in edges for end in ("client", "server")})
    return shared.envelope(nodes=[{"service": node} for node in nodes], edges=edges)


@router.get("/monitoring/stats", tags=["monitoring"])
def stats(shared: Shared) -> dict[str, Any]:
    """What fires and what is open, by severity."""
    counts = shared.from_board(lambda board: board.counts())
    return shared.envelope(alerts_firing=counts["alerts"], incidents_open=counts["incidents"])
