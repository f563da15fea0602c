"""Incidents that are over because somebody says so."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field

from streams import topics
from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Id, Reason, example
from streams.domain.control import Close, control_key, encode_control

router = APIRouter(prefix="/api/v1/incidents", tags=["control"], dependencies=[needs("read")])
Operator = Annotated[str, needs("operate")]
RESOLVED = {"as_of": "2026-01-31T22:00:00.000Z", "incident_id": "abababababababab", "asked": "resolve", "by": "ann"}
MERGED = RESOLVED | {"asked": "merge", "into": "efefefefefefefef"}


class Merge(Reason):
    """Which incident takes the alerts over, and why."""

    into: Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="id of another incident")]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"into": "efefefefefefefef", "why": "the same database"}]}
    )


@router.post("/{incident_id}/resolve", status_code=202, responses={202: example(RESOLVED, "It is on its way.")})
async def resolve(shared: Shared, by: Operator, incident_id: Id, body: Reason) -> dict[str, Any]:
    """Asks to resolve an incident; alerts of it that still fire are acked until they end. 409 where it is not open."""
    await _allowed(shared, incident_id, ("open",))
    return await _asked(shared, Close(incident_id, by, body.why, shared.clock_ns()))


@router.post("/{incident_id}/merge", status_code=202, responses={202: example(MERGED, "It is on its way.")})
async def merge(shared: Shared, by: Operator, incident_id: Id, body: Merge) -> dict[str, Any]:
    """Asks to make an incident a part of another; 409 where one of them already is a part of one."""
    if body.into == incident_id:
        raise HTTPException(422, "an incident cannot be a part of itself")
    for one in (incident_id, body.into):
        await _allowed(shared, one, ("open", "resolved"))
    return await _asked(shared, Close(incident_id, by, body.why, shared.clock_ns(), body.into))


async def _allowed(shared: Context, incident_id: str, states: tuple[str, ...]) -> None:
    """404 where it is not known, 409 in any other state."""
    found = await asyncio.to_thread(shared.from_board, lambda board: board.incident(incident_id))
    if found is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    if found["status"] not in states:
        raise HTTPException(409, f"incident {incident_id} is {found['status']}, not {' or '.join(states)}")


async def _asked(shared: Context, close: Close) -> dict[str, Any]:
    """The worker that forms incidents does it; the next record of the incident says so."""
    await shared.ledger.write(topics.CONTROL, control_key(close), encode_control(close))
    more = {"asked": "merge", "into": close.into} if close.into else {"asked": "resolve"}
    return shared.stamped(incident_id=close.incident_id, by=close.by, **more)
