"""Pinned baselines: what later versions are held against."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import ConfigDict, Field

from streams import topics
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.gates import profile_of
from streams.api.routes.words import Body, Why, Word, example
from streams.domain.baseline import Pinned, baseline_key, decode_pinned
from streams.errors import ConfigurationError
from streams.gate.book import GateBook
from streams.records.baselines import Pin, record_of, sizes

router = APIRouter(prefix="/api/v1/baselines", tags=["baselines"], dependencies=[needs("read")])
Deployer = Annotated[str, needs("deploy")]
Needed = Annotated[str, Field(min_length=1, max_length=128)]
Part = Annotated[str, Path(min_length=1, max_length=128)]
NOW = "2026-01-31T22:00:00.000Z"
ONE = {
    "profile": "pinned",
    "service": "shop",
    "environment": "",
    "version": "1.9",
    "by": "ann",
    "why": "release 1.9",
    "at": NOW,
    "gates": {"errors_since_baseline": {"windows": 360, "samples": 7200}},
}


class NewBaseline(Body):
    """What a version measured in the closed windows of the last hour is kept."""

    service: Needed
    version: Needed
    environment: Annotated[str, Field(max_length=128, description="empty: any")] = ""
    profile: Annotated[Needed, Field(description="its comparisons with `against: pinned` are measured")] = "pinned"
    why: Why

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service": "shop", "version": "1.9", "why": "release 1.9"}]}
    )


@router.get("", responses={200: example({"as_of": NOW, "baselines": [ONE]})})
async def baselines(shared: Shared, service: Word = "", profile: Word = "") -> dict[str, Any]:
    """What is pinned, in the order of profile, service and environment."""
    known = await _known(shared)
    found = [one for _, one in sorted(known.items()) if service in ("", one.service) and profile in ("", one.profile)]
    return shared.envelope(baselines=[_shown(one) for one in found])


@router.get("/{profile}/{service:path}", responses={200: example({"as_of": NOW, "baseline": ONE})})
async def baseline(shared: Shared, profile: Part, service: Part, environment: Word = "") -> dict[str, Any]:
    """One of them; an empty environment is the one for any."""
    found = (await _known(shared)).get(baseline_key(profile, service, environment))
    if found is None:
        raise HTTPException(404, f"nothing is pinned for {service} in profile {profile}")
    return shared.envelope(baseline=_shown(found))


@router.post("", status_code=201, responses={201: example({"as_of": NOW, "baseline": ONE})})
async def pin(shared: Shared, by: Deployer, body: NewBaseline) -> dict[str, Any]:
    """Pins what a version measured, in place of what was pinned before; 409 where there is too little data."""
    book = GateBook(profile_of(shared, body.profile), body.service, body.environment, shared.settings.pane_seconds)
    await shared.fill(shared.settings, book, shared.clock_ns)
    try:
        made, value = record_of(book, Pin(body.version, by, body.why), shared.clock_ns())
    except ConfigurationError as error:
        raise HTTPException(409, str(error)) from None
    await shared.ledger.write(topics.BASELINES, made.key, value)
    return shared.stamped(baseline=_shown(made))


async def _known(shared: Context) -> dict[bytes, Pinned]:
    return await shared.ledger.newest(topics.BASELINES, decode_pinned, lambda one: one.key)


def _shown(one: Pinned) -> dict[str, Any]:
    """Without the panes themselves."""
    names = ("profile", "service", "environment", "version", "by", "why")
    return {**{name: getattr(one, name) for name in names}, "at": rfc3339(one.at_ns), "gates": sizes(one)}
