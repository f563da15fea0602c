"""What people tell the pipeline: acks of alerts and incidents, and maintenance."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Response
from pydantic import AwareDatetime, ConfigDict, Field

from streams import topics
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.words import NAME, Because, Body, Id, Name, Why, example
from streams.domain.control import Ack, Control, Maintenance, control_key, decode_control, encode_control

router = APIRouter(prefix="/api/v1", tags=["control"], dependencies=[needs("read")])
Operator = Annotated[str, needs("operate")]
Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Kind = TypeVar("Kind", Ack, Maintenance)

ACK = {
    "target": "abababababababab",
    "by": "ann",
    "why": "on it",
    "at": "2026-01-31T22:00:00.000Z",
    "until": None,
}
MAINTENANCE = {
    "id": "upgrade-db",
    "where": {"service.name": ["plan*"]},
    "by": "ann",
    "why": "database upgrade",
    "starts_at": "2026-01-31T22:00:00.000Z",
    "ends_at": "2026-01-31T23:00:00.000Z",
    "in_force": True,
}


class NewAck(Body):
    """Somebody takes an alert or an incident on: it is not notified again until it ends, or the time is over."""

    target: Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="fingerprint of an alert, or incident id")]
    why: Why
    for_seconds: Annotated[int, Field(ge=0, le=31_536_000, description="0 = until it ends")] = 0
    verdict: Annotated[Literal["", "useful", "noise"], Field(description="was it worth it? Counted by alertname")] = ""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"target": "abababababababab", "why": "on it", "for_seconds": 3600}]}
    )


class NewMaintenance(Body):
    """Alerts that match are not notified in that time; the same id again replaces it."""

    id: Annotated[str, Field(pattern=NAME.replace("/", ""))]
    where: Annotated[
        dict[Pattern, Annotated[list[Pattern], Field(min_length=1, max_length=100)]],
        Field(min_length=1, max_length=20, description="label -> patterns; all labels must match, `*` ends a pattern"),
    ]
    why: Why
    for_seconds: Seconds
    starts_at: Annotated[AwareDatetime | None, Field(description="RFC 3339; without it: now")] = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "upgrade-db",
                    "where": {"service.name": ["plan*"]},
                    "why": "database upgrade",
                    "for_seconds": 3600,
                    "starts_at": "2026-01-31T22:00:00Z",
                }
            ]
        }
    )


@router.get("/acks", responses={200: example({"as_of": ACK["at"], "acks": [ACK]})})
def acks(shared: Shared) -> dict[str, Any]:
    """Acks that count now, in the order of what they are of."""
    return shared.envelope(acks=[_ack(one) for one in _known(shared, "ack") if isinstance(one, Ack)])


@router.post("/acks", status_code=201, responses={201: example({"as_of": ACK["at"], "ack": ACK})})
async def acknowledge(shared: Shared, by: Operator, body: NewAck) -> dict[str, Any]:
    """Takes an alert or an incident on; again replaces it."""
    now_ns = shared.clock_ns()
    until_ns = now_ns + body.for_seconds * 10**9 if body.for_seconds else 0
    made = Ack(body.target, by, body.why, now_ns, until_ns, verdict=body.verdict)
    await _say(shared, made)
    return shared.stamped(ack=_ack(made))


@router.delete("/acks/{target}", status_code=204)
async def unacknowledge(shared: Shared, by: Operator, target: Id, why: Because) -> Response:
    """Takes an ack back."""
    async with shared.ledger.turn:
        found = await _newest(shared, Ack(target, "", "", 0))
        await _say(shared, replace(found, by=by, why=why, at_ns=shared.clock_ns(), cleared=True))
    return Response(status_code=204)


@router.get("/maintenance", responses={200: example({"as_of": MAINTENANCE["starts_at"], "maintenance": [MAINTENANCE]})})
def maintenance(shared: Shared) -> dict[str, Any]:
    """Maintenance in force or still to come, in the order of ids."""
    now_ns = shared.clock_ns()
    found = [_window(one, now_ns) for one in _known(shared, "maintenance") if isinstance(one, Maintenance)]
    return shared.envelope(maintenance=found)


@router.post(
    "/maintenance",
    status_code=201,
    responses={201: example({"as_of": MAINTENANCE["starts_at"], "maintenance": MAINTENANCE})},
)
async def maintain(shared: Shared, by: Operator, body: NewMaintenance) -> dict[str, Any]:
    """Adds maintenance."""
    now_ns = shared.clock_ns()
    begin_ns = now_ns if body.starts_at is None else _ns(body.starts_at)
    end_ns = begin_ns + body.for_seconds * 10**9
    if not now_ns < end_ns < 1 << 63:
        raise HTTPException(422, "it would be over already, or would end after the year 2262")
    where = tuple(sorted((label, tuple(patterns)) for label, patterns in body.where.items()))
    made = Maintenance(body.id, where, by, body.why, begin_ns, end_ns)
    await _say(shared, made)
    return shared.stamped(maintenance=_window(made, now_ns))


@router.delete("/maintenance/{name}", status_code=204)
async def end(shared: Shared, by: Operator, name: Name, why: Because) -> Response:
    """Ends maintenance before its time."""
    async with shared.ledger.turn:
        found = await _newest(shared, Maintenance(name, (), "", "", 0, 0))
        if found.ends_at_ns <= shared.clock_ns():
            raise HTTPException(404, f"maintenance {name} is over")
        await _say(shared, replace(found, by=by, why=why, cleared=True))
    return Response(status_code=204)


def _known(shared: Context, kind: Literal["ack", "maintenance"]) -> list[Control]:
    return shared.from_board(lambda board: board.controls(kind, shared.clock_ns()))


async def _say(shared: Context, control: Control) -> None:
    await shared.ledger.write(topics.CONTROL, control_key(control), encode_control(control))


async def _newest(shared: Context, like: Kind) -> Kind:
    """The newest record of the same key: 404 where there is none, or it was taken back."""
    key = control_key(like)
    found = (await shared.ledger.newest(topics.CONTROL, decode_control, control_key)).get(key)
    if not isinstance(found, type(like)) or found.cleared:
        raise HTTPException(404, f"there is no {key.decode()}")
    return found


def _ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


def _ack(one: Ack) -> dict[str, Any]:
    until = rfc3339(one.until_ns) if one.until_ns else None
    return {"target": one.target, "by": one.by, "why": one.why, "at": rfc3339(one.at_ns), "until": until}


def _window(one: Maintenance, now_ns: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "where": {label: list(patterns) for label, patterns in one.where},
        "by": one.by,
        "why": one.why,
        "starts_at": rfc3339(one.starts_at_ns),
        "ends_at": rfc3339(one.ends_at_ns),
        "in_force": one.starts_at_ns <= now_ns < one.ends_at_ns,
    }
