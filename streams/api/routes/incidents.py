"""Incidents that are over, and alerts that are not of one, because somebody says so."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field

from streams import topics
from streams.api.context import Context, Shared, needs
from streams.api.routes.words import Id, Reason, example
from streams.domain.control import Close, Unlink, control_key, encode_control

router = APIRouter(prefix="/api/v1/incidents", tags=["control"], dependencies=[needs("read")])
Operator = Annotated[str, needs("operate")]
RESOLVED = {"as_of": "2026-01-31T22:00:00.000Z", "incident_id": "abababababababab", "asked": "resolve", "by": "ann"}
MERGED = RESOLVED | {"asked": "merge", "into": "efefefefefefefef"}
UNLINKED = RESOLVED | {"asked": "unlink", "fingerprint": "cdcdcdcdcdcdcdcd"}


class Merge(Reason):
    """Which incident takes the alerts over, and why."""

    into: Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="id of another incident")]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"into": "efefefefefefefef", "why": "the same database"}]}
    )


class Apart(Reason):
    """Which alert does not belong to the incident, and why."""

    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="of an alert of the incident")]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"fingerprint": "cdcdcdcdcdcdcdcd", "why": "another team's deployment"}]}
    )


@router.post("/{incident_id}/resolve", status_code=202, responses={202: example(RESOLVED, "It is on its way.")})
async def resolve(shared: Shared, by: Operator, incident_id: Id, body: Reason) -> dict[str, Any]:
    """Asks to resolve an incident; alerts of it that still fire are acked until they end. 409 where it is not open."""
    await _allowed(shared, incident_id, ("open",))
    return await _asked(shared, Close(incident_id, by, body.why, shared.clock_ns()), asked="resolve")


@router.post("/{incident_id}/merge", status_code=202, responses={202: example(MERGED, "It is on its way.")})
async def merge(shared: Shared, by: Operator, incident_id: Id, body: Merge) -> dict[str, Any]:
    """Asks to make an incident a part of another; 409 where one of them already is a part of one."""
    if body.into == incident_id:
        raise HTTPException(422, "an incident cannot be a part of itself")
    for one in (incident_id, body.into):
        await _allowed(shared, one, ("open", "resolved"))
    close = Close(incident_id, by, body.why, shared.clock_ns(), body.into)
    return await _asked(shared, close, asked="merge", into=body.into)


@router.post("/{incident_id}/unlink", status_code=202, responses={202: example(UNLINKED, "It is on its way.")})
async def unlink(shared: Shared, by: Operator, incident_id: Id, body: Apart) -> dict[str, Any]:
    """Asks to take an alert out, into an incident of its own; no link joins the two again, ``merge`` does.

    404 where the incident has no such alert, 409 where it is not open, the alert does not fire, or it is the only one.
    """
    members = (await _allowed(shared, incident_id, ("open",)))["members"]
    found = next((member for member in members if member["fingerprint"] == body.fingerprint), None)
    if found is None:
        raise HTTPException(404, f"incident {incident_id} has no alert {body.fingerprint}")
    if found["ends_at_ns"] or len(members) == 1:
        why = "is over" if found["ends_at_ns"] else f"is all that incident {incident_id} has"
        raise HTTPException(409, f"alert {body.fingerprint} {why}")
    said = Unlink(incident_id, body.fingerprint, by, body.why, shared.clock_ns())
    return await _asked(shared, said, asked="unlink", fingerprint=body.fingerprint)


async def _allowed(shared: Context, incident_id: str, states: tuple[str, ...]) -> dict[str, Any]:
    """The incident: 404 where it is not known, 409 in any other state."""
    found: dict[str, Any] | None
    found = await asyncio.to_thread(shared.from_board, lambda board: board.incident(incident_id))
    if found is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    if found["status"] not in states:
        raise HTTPException(409, f"incident {incident_id} is {found['status']}, not {' or '.join(states)}")
    return found


async def _asked(shared: Context, said: Close | Unlink, **more: str) -> dict[str, Any]:
    """The worker that forms incidents does it; the next record of the incident says so."""
    await shared.ledger.write(topics.CONTROL, control_key(said), encode_control(said))
    return shared.stamped(incident_id=said.incident_id, by=said.by, **more)
