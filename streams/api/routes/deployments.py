"""Deployments: registered, held against their gates, completed or rolled back; how they went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, HTTPException, Response
from pydantic import ConfigDict, Field

from streams import topics
from streams.api.board.query import Asked
from streams.api.context import Context, Shared, needs, rfc3339
from streams.api.routes.alerts import page, since_ns
from streams.api.routes.gates import profile_of
from streams.api.routes.words import NAME, Body, Cursor, Limit, Name, Reason, Seconds, Word, example
from streams.domain.deployment import STRATEGIES, Deployment, State, decode_deployment, encode_deployment
from streams.gate import lifecycle
from streams.gate.book import GateBook
from streams.gate.rollback import requested
from streams.gate.statistics import statistics
from streams.gate.summary import as_json
from streams.records.gatecheck import Question
from streams.settings import variable
from streams.subscribe.commandhook import tell
from streams.subscribe.commands import read_key, signed

router = APIRouter(prefix="/api/v1/deployments", tags=["deployments"], dependencies=[needs("read")])
Deployer = Annotated[str, needs("deploy")]
Text = Annotated[str, Field(max_length=128)]
Needed = Annotated[str, Field(min_length=1, max_length=128)]
AnyState = Literal["", *State.__args__]  # type: ignore[valid-type]

NOW = "2026-01-31T22:00:00.000Z"
ONE = {
    "id": "shop-2.0",
    "service": "shop",
    "version": "2.0",
    "environment": "production",
    "state": "registered",
    "verdict": None,
    "steps": [{"at_ns": 1769896800000000000, "state": "registered", "reason": "registered", "by": "ci"}],
}
ANSWER = example({"as_of": NOW, "deployment": ONE})
VERDICT = {
    "deployment_id": "shop-2.0",
    "state": "validating",
    "verdict": "pass",
    "recommended_action": "promote",
    "age_seconds": 12.0,
    "gates": [{"name": "errors", "status": "pass", "blocking": True, "reason": "0.01 < 0.05 (of 900)"}],
}


COMMAND = {
    "id": "0123456789abcdef",
    "kind": "rollback",
    "deployment_id": "shop-2.0",
    "service": "shop",
    "environment": "production",
    "from_version": "2.0",
    "to_version": "1.9",
    "reason": "errors are up",
    "by": "ci",
    "evidence": {"verdict": "fail", "at": NOW, "failed": []},
}


class NewDeployment(Body):
    """A version goes out."""

    deployment_id: Annotated[str, Field(pattern=NAME.replace("/", ""))]
    service: Needed
    version: Needed
    environment: Needed = "production"
    baseline_version: Annotated[Text, Field(description="empty: the version with the most data beside it")] = ""
    strategy: Literal[STRATEGIES] = "rolling"  # type: ignore[valid-type]
    git_sha: Text = ""
    gate_profile: Needed = "default"

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "deployment_id": "shop-2.0",
                    "service": "shop",
                    "version": "2.0",
                    "environment": "production",
                    "strategy": "canary",
                    "git_sha": "0a1b2c3",
                    "gate_profile": "default",
                }
            ]
        }
    )


class Wanted(Body):
    """How long to wait for a verdict that decides."""

    wait_seconds: Annotated[float, Field(ge=0, le=60, description="0 = one look")] = 0

    model_config = ConfigDict(json_schema_extra={"examples": [{"wait_seconds": 30}]})


class Rollback(Reason):
    """Why; and whether the command is sent or only shown."""

    execute: Annotated[bool, Field(description="false: nothing changes")] = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"why": "errors are up", "execute": True}]})


@router.post(
    "/start",
    status_code=201,
    responses={200: example({"as_of": NOW, "deployment": ONE}, "It is registered already."), 201: ANSWER},
)
async def start(
    shared: Shared,
    by: Deployer,
    body: NewDeployment,
    response: Response,
    idempotency_key: Annotated[str, Header(max_length=128)] = "",
) -> dict[str, Any]:
    """Registers a deployment; the same again changes nothing (200); the id or the key with another body: 409."""
    profile_of(shared, body.gate_profile)
    said = (body.service, body.version, body.environment, body.baseline_version, body.strategy, body.git_sha)
    asked = lifecycle.request(body.deployment_id, *said, body.gate_profile, idempotency_key)
    async with shared.ledger.turn:
        known = await _known(shared)
        lifecycle.refuse_key(known.values(), asked)
        before = known.get(asked.id)
        after = lifecycle.register(before, asked, shared.clock_ns(), by)
        await _keep(shared, before, after)
    if after is before:
        response.status_code = 200
    return shared.stamped(deployment=_shown(after))


@router.post("/{deployment_id}/validate", responses={200: example({"as_of": NOW, **VERDICT})})
async def validate(shared: Shared, by: Deployer, deployment_id: Name, body: Wanted) -> dict[str, Any]:
    """Holds the version against its gates: passed stays validating, failed fails, too little data pauses."""
    asked = await _moved(shared, deployment_id, lambda one: lifecycle.asked(one, by, shared.clock_ns()))
    profile = profile_of(shared, asked.profile)
    book = GateBook(profile, asked.service, asked.environment, shared.settings.pane_seconds)
    question = Question(asked.version, asked.baseline_version, body.wait_seconds)
    verdict = await shared.judge(shared.settings, book, question, shared.clock_ns)
    baseline = asked.baseline_version or book.beside(asked.version)
    found = as_json(verdict, asked.service, asked.version, baseline) | {"at": rfc3339(shared.clock_ns())}
    after = await _moved(
        shared, deployment_id, lambda one: lifecycle.validated(one, found, verdict.status, by, shared.clock_ns())
    )
    return shared.stamped(deployment_id=after.id, state=after.state, **found)


@router.post("/{deployment_id}/complete", responses={200: ANSWER})
async def complete(shared: Shared, by: Deployer, deployment_id: Name, body: Reason) -> dict[str, Any]:
    """Succeeded; 409 where the last verdict did not pass."""
    after = await _moved(shared, deployment_id, lambda one: lifecycle.complete(one, body.why, by, shared.clock_ns()))
    return shared.stamped(deployment=_shown(after))


@router.post(
    "/{deployment_id}/rollback",
    responses={200: example({"as_of": NOW, "executed": False, "command": COMMAND, "deployment": ONE})},
)
async def rollback(shared: Shared, by: Deployer, deployment_id: Name, body: Rollback) -> dict[str, Any]:
    """The signed command to roll back: shown, and sent with ``execute``; 409 in the wrong state or too soon."""
    settings = shared.settings
    async with shared.ledger.turn:
        known = await _known(shared)
        before = _there(known, deployment_id)
        now_ns, cooldown = shared.clock_ns(), settings.rollback_cooldown_seconds
        after, command = requested(before, known.values(), body.why, by, now_ns, cooldown)
        if body.execute:
            key = read_key(settings.commands_key_file, variable("commands_key_file"))
            value, headers = signed(key, command, now_ns)
            await shared.ledger.write(topics.COMMANDS, command.service.encode(), value, headers)
            await _keep(shared, before, after)
    if body.execute:
        await tell(settings, value, headers)
    return shared.stamped(
        executed=body.execute, command=asdict(command), deployment=_shown(after if body.execute else before)
    )


@router.get("/history", responses={200: example({"as_of": NOW, "deployments": [ONE], "next_cursor": ""})})
def history(
    shared: Shared,
    service: Word = "",
    environment: Word = "",
    status: AnyState = "",
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Deployments, the one that changed last first."""
    asked = Asked(status, service=service, environment=environment, since_ns=since_ns(shared, since_seconds))
    return page(shared, "deployments", asked, limit, cursor)


@router.get(
    "/statistics", responses={200: example({"as_of": NOW, "statistics": {"total": 1, "by_state": {"registered": 1}}})}
)
def figures(
    shared: Shared, service: Word = "", environment: Word = "", since_seconds: Seconds = 2_592_000
) -> dict[str, Any]:
    """Of what was registered since: how it ended and how long it took; null where nothing is known."""
    asked = Asked(service=service, environment=environment, since_ns=since_ns(shared, since_seconds))
    found = shared.from_board(lambda board: board.started(asked))
    return shared.envelope(statistics=asdict(statistics(found)))


@router.get("/{deployment_id}", responses={200: ANSWER})
def deployment(shared: Shared, deployment_id: Name) -> dict[str, Any]:
    """One deployment with its steps and its last verdict."""
    found = shared.from_board(lambda board: board.deployment(deployment_id))
    if found is None:
        raise HTTPException(404, f"there is no deployment {deployment_id}")
    return shared.envelope(deployment=found)


async def _known(shared: Context) -> dict[str, Deployment]:
    rows = await shared.ledger.newest(topics.DEPLOYMENTS, decode_deployment, lambda one: one.id.encode())
    return {one.id: one for one in rows.values()}


def _there(known: Mapping[str, Deployment], deployment_id: str) -> Deployment:
    if deployment_id not in known:
        raise HTTPException(404, f"there is no deployment {deployment_id}")
    return known[deployment_id]


async def _keep(shared: Context, before: Deployment | None, after: Deployment) -> None:
    if after is not before:
        await shared.ledger.write(topics.DEPLOYMENTS, after.id.encode(), encode_deployment(after))


async def _moved(shared: Context, deployment_id: str, change: Callable[[Deployment], Deployment]) -> Deployment:
    """What a change makes of the newest record; 404 where there is none, 409 where the states do not allow it."""
    async with shared.ledger.turn:
        before = _there(await _known(shared), deployment_id)
        after = change(before)
        await _keep(shared, before, after)
    return after


def _shown(one: Deployment) -> dict[str, Any]:
    return asdict(one)
