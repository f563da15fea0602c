"""Logs of agents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query

from streams.api.context import Shared, needs, rfc3339
from streams.api.logs.query import Asked
from streams.api.routes.alerts import since_ns
from streams.api.routes.words import Cursor, Limit, Seconds, Word, example
from streams.decode.logs import SEVERITIES

router = APIRouter(prefix="/api/v1/logs", tags=["logs"], dependencies=[needs("read")])
Least = Literal["", *SEVERITIES]  # type: ignore[valid-type]
NOW = "2026-01-31T22:00:00.000Z"
LOG = {
    "time": NOW,
    "severity": "WARN",
    "service": "shop",
    "agent_id": "planner-1",
    "logger": "agent.chat",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "body": "model call failed, attempt 1 of 4",
    "attributes": {"code.function.name": "chat"},
}


@router.get("", responses={200: example({"as_of": NOW, "logs": [LOG], "next_cursor": ""})})
def logs(
    shared: Shared,
    text: Annotated[str, Query(max_length=256, description="words that are all in the text")] = "",
    service: Word = "",
    agent_id: Word = "",
    logger: Word = "",
    trace_id: Annotated[str, Query(pattern="^([0-9a-f]{32})?$")] = "",
    severity: Annotated[Least, Query(description="this one or worse")] = "",
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Logs of the last day (at most a million) that match, those that came last first; secrets are taken out."""
    asked = Asked(service, agent_id, logger, trace_id, severity, text, since_ns(shared, since_seconds))
    try:
        page = shared.from_logs(lambda reader: reader.page(asked, limit=limit, cursor=cursor))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    found = [{"time": rfc3339(one.pop("time_ns")), **one} for one in page.logs]
    return shared.envelope(logs=found, next_cursor=page.next_cursor)
