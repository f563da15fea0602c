"""A rollback: whether it may be asked for now, and the command that asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from streams.domain.command import VALID_SECONDS, Command
from streams.domain.deployment import Deployment
from streams.gate.lifecycle import LifecycleConflict, move


def requested(
    deployment: Deployment, known: Iterable[Deployment], why: str, by: str, now_ns: int, cooldown_seconds: float
) -> tuple[Deployment, Command]:
    """The deployment with its rollback requested, and the command; of a repeated request both are as they were.

    Args:
        deployment: what is rolled back.
        known: all deployments, for the cool-down.
        why: for people.
        by: who asks.
        now_ns: the present.
        cooldown_seconds: after a rollback of a service in an environment none of another deployment of it is asked for:
            two that answer each other would go back and forth.

    Raises:
        LifecycleConflict: the state does not allow it, or it is too soon.
    """
    after = move(deployment, "rollback_requested", why, by, now_ns)
    if after is not deployment:
        _refuse_soon(deployment, known, now_ns, cooldown_seconds)
    command = _command(after)
    if now_ns >= command.expires_at_ns:
        raise LifecycleConflict(f"the command has expired; move {after.id} to rollback_failed, then ask again")
    return after, command


def _refuse_soon(deployment: Deployment, known: Iterable[Deployment], now_ns: int, cooldown_seconds: float) -> None:
    place = (deployment.service, deployment.environment)
    for one in known:
        if (one.service, one.environment) != place or one.id == deployment.id:
            continue
        waited = min((now_ns - at_ns for at_ns in _requests(one)), default=now_ns) / 1e9
        if waited < cooldown_seconds:
            raise LifecycleConflict(
                f"{place[0]} in {place[1]} was rolled back {waited:.0f} s ago (deployment {one.id}): again in "
                f"{cooldown_seconds - waited:.0f} s"
            )


def _requests(one: Deployment) -> list[int]:
    return [step.at_ns for step in one.steps if step.state == "rollback_requested"]


def _command(deployment: Deployment) -> Command:
    before, step = deployment.steps[-2:]
    text = (
        f"rollback\0{deployment.id}\0{before.at_ns}"  # not of the step: where it was sent but not kept, it is the same
    )
    return Command(
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        kind="rollback",
        deployment_id=deployment.id,
        service=deployment.service,
        environment=deployment.environment,
        from_version=deployment.version,
        to_version=deployment.baseline_version,
        reason=step.reason,
        by=step.by,
        evidence=_evidence(deployment.verdict),
        at_ns=step.at_ns,
        expires_at_ns=step.at_ns + round(VALID_SECONDS * 1e9),
    )


def _evidence(verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    failed = [gate for gate in verdict.get("gates", ()) if gate["status"] == "fail"]
    return {
        "verdict": verdict["verdict"],
        "at": verdict.get("at"),
        "failed": [{"name": gate["name"], "blocking": gate["blocking"], "reason": gate["reason"]} for gate in failed],
    }
