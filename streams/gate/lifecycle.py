"""The life of a deployment as a state machine: which word may follow which, and what a repeated request means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.domain.deployment import Deployment, State, Step
from streams.errors import StreamsError

if TYPE_CHECKING:  # verdicts bring SciPy: half a second of each start of the command
    from streams.gate.verdict import Status

NEXT: Final[Mapping[State, frozenset[State]]] = {
    "registered": frozenset({"baselining", "rolling", "validating", "failed", "rollback_requested"}),
    "baselining": frozenset({"rolling", "validating", "failed", "rollback_requested"}),
    "rolling": frozenset({"validating", "failed", "rollback_requested"}),
    "validating": frozenset({"rolling", "paused", "succeeded", "failed", "rollback_requested"}),
    "paused": frozenset({"rolling", "validating", "succeeded", "failed", "rollback_requested"}),
    "succeeded": frozenset({"rollback_requested"}),
    "failed": frozenset({"validating", "rollback_requested"}),
    "rollback_requested": frozenset({"rolling_back", "rolled_back", "rollback_failed"}),
    "rolling_back": frozenset({"rolled_back", "rollback_failed"}),
    "rollback_failed": frozenset({"rollback_requested"}),
    "rolled_back": frozenset(),
}
OVER: Final[frozenset[State]] = frozenset({"succeeded", "failed", "rolled_back", "rollback_failed"})
"""Nothing is expected to happen any more."""
AFTER_VERDICT: Final[Mapping[Status, State]] = {"pass": "validating", "fail": "failed", "inconclusive": "paused"}
"""A passed gate allows completion; it does not complete by itself."""


class LifecycleConflict(StreamsError):
    """What was asked does not fit the state the deployment is in (HTTP 409)."""

    retriable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a deployer registers; fields as in :class:`~streams.domain.deployment.Deployment`."""

    id: str
    service: str
    version: str
    environment: str
    baseline_version: str
    strategy: str
    git_sha: str
    profile: str
    idempotency_key: str
    request_hash: str


def request(
    id_: str,
    service: str,
    version: str,
    environment: str,
    baseline_version: str,
    strategy: str,
    git_sha: str,
    profile: str,
    idempotency_key: str = "",
) -> Request:
    """With the hash of what is said: the same words are the same request, whoever sends them and by which way."""
    said = (service, version, environment, baseline_version, strategy, git_sha, profile)
    body_hash = hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]
    return Request(id_, *said, idempotency_key, body_hash)


def register(known: Deployment | None, request: Request, now_ns: int, by: str) -> Deployment:
    """A new deployment, or the known one where the same request is repeated.

    Raises:
        LifecycleConflict: the id is taken by another request.
    """
    if known is not None:
        if known.request_hash == request.request_hash:
            return known
        raise LifecycleConflict(
            f"deployment {known.id} exists with another body (it is {known.state}); choose a new id"
        )
    first = Step(now_ns, "registered", "registered", by)
    return Deployment(
        id=request.id,
        service=request.service,
        version=request.version,
        environment=request.environment,
        baseline_version=request.baseline_version,
        strategy=request.strategy,
        git_sha=request.git_sha,
        profile=request.profile,
        state="registered",
        started_ns=now_ns,
        updated_ns=now_ns,
        idempotency_key=request.idempotency_key,
        request_hash=request.request_hash,
        verdict=None,
        steps=(first,),
    )


def refuse_key(known: Iterable[Deployment], request: Request) -> None:
    """An idempotency key stands for one deployment.

    Raises:
        LifecycleConflict: another deployment was registered with the key.
    """
    for one in known:
        if request.idempotency_key and one.idempotency_key == request.idempotency_key and one.id != request.id:
            raise LifecycleConflict(f"this Idempotency-Key registered deployment {one.id}; send another")


def asked(deployment: Deployment, by: str, now_ns: int) -> Deployment:
    """In the state in which a verdict is looked for.

    Raises:
        LifecycleConflict: the deployment is over or being rolled back.
    """
    return move(deployment, "validating", "validation asked", by, now_ns)


def move(deployment: Deployment, state: State, reason: str, by: str, now_ns: int) -> Deployment:
    """Into another state; into the state it is in already: unchanged (a request that was repeated).

    Raises:
        LifecycleConflict: the state machine does not allow it; says what it allows.
    """
    if deployment.state == state:
        return deployment
    allowed = NEXT[deployment.state]
    if state not in allowed:
        choices = ", ".join(sorted(allowed)) or "nothing"
        raise LifecycleConflict(f"deployment {deployment.id} is {deployment.state}: {choices} may follow, not {state}")
    return deployment.stepped(Step(max(now_ns, deployment.updated_ns), state, reason, by))


def validated(deployment: Deployment, verdict: Mapping[str, Any], status: Status, by: str, now_ns: int) -> Deployment:
    """With a verdict: passed stays validating until completed, failed fails, inconclusive pauses.

    Raises:
        LifecycleConflict: the deployment is over or being rolled back.
    """
    asked(deployment, by, now_ns)
    step = Step(max(now_ns, deployment.updated_ns), AFTER_VERDICT[status], f"verdict: {status}", by)
    return replace(deployment.stepped(step), verdict=verdict)


def complete(deployment: Deployment, reason: str, by: str, now_ns: int) -> Deployment:
    """Succeeded, where the last verdict passed.

    Raises:
        LifecycleConflict: no verdict or one that did not pass, or the state does not allow it.
    """
    status = (deployment.verdict or {}).get("verdict")
    if deployment.state != "succeeded" and status != "pass":
        raise LifecycleConflict(
            f"deployment {deployment.id}: the last verdict is {status or 'missing'}; validate until it is pass"
        )
    return move(deployment, "succeeded", reason, by, now_ns)
