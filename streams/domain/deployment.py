"""A deployment: one version of a service on its way into an environment, and where it stands.

One record of the compacted topic ``agents.deployments`` per deployment, key = its id; the newest one counts. Written by
the API (gates); read by the incidents role, for which a recent deployment is evidence, and by the API at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import orjson

DEPLOYMENT_SCHEMA: Final = "agents.deployment/1"
State = Literal[
    "registered",
    "baselining",
    "rolling",
    "validating",
    "paused",
    "succeeded",
    "failed",
    "rollback_requested",
    "rolling_back",
    "rolled_back",
    "rollback_failed",
]
STRATEGIES: Final = ("rolling", "canary", "blue_green")
MAX_STEPS: Final = 50
"""Steps kept of a deployment: the first and the newest others."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of state: when, into which, why, by whom."""

    at_ns: int
    state: State
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment.

    Attributes:
        id: given by the deployer.
        service, version, environment: what goes where (``service.name``, ``service.version``, environment).
        baseline_version: the version it is held against; "" where whatever runs beside it.
        strategy: one of :data:`STRATEGIES`.
        git_sha: "" where unknown.
        profile: gate profile.
        state: where it stands.
        started_ns: when it was registered.
        updated_ns: of the last change.
        idempotency_key: of the request that registered it, "" where none was sent.
        request_hash: of that request's body: the same key with another body is a conflict.
        verdict: the last verdict as JSON-able data, None before the first.
        steps: oldest first, at most :data:`MAX_STEPS`.
    """

    id: str
    service: str
    version: str
    environment: str
    baseline_version: str
    strategy: str
    git_sha: str
    profile: str
    state: State
    started_ns: int
    updated_ns: int
    idempotency_key: str
    request_hash: str
    verdict: Mapping[str, Any] | None
    steps: tuple[Step, ...]

    def stepped(self, step: Step) -> Deployment:
        """With one more step."""
        steps = (*self.steps, step)
        if len(steps) > MAX_STEPS:
            steps = (steps[0], *steps[len(steps) - MAX_STEPS + 1 :])
        return replace(self, state=step.state, updated_ns=step.at_ns, steps=steps)


def encode_deployment(deployment: Deployment) -> bytes:
    """One record of ``agents.deployments``."""
    return orjson.dumps({"v": 1, "schema": DEPLOYMENT_SCHEMA, **asdict(deployment)})


def decode_deployment(value: bytes) -> Deployment:
    """The inverse of :func:`encode_deployment`; unknown fields are ignored.

    Raises:
        ValueError: not a deployment record of a version this code knows.
    """
    try:
        body = orjson.loads(value)
        if body["schema"] != DEPLOYMENT_SCHEMA:
            raise ValueError(f"not a deployment record: schema {body['schema']!r}")
        steps = tuple(Step(s["at_ns"], s["state"], s["reason"], s["by"]) for s in body["steps"])
        fields = {name: body[name] for name in Deployment.__dataclass_fields__ if name != "steps"}
        return Deployment(**fields, steps=steps)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a deployment record: {error!r}") from error
