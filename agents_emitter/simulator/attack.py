"""Failing logins from outside: what a security burst is made of."""

from __future__ import annotations

from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.topology import Agent
from agents_emitter.simulator.trace import World
from agents_emitter.simulator.workflow import request

EVENT_RATIO = 0.1
VIOLATION_RATIO = 0.04


def attack(world: World, coordinator: Agent, start_ns: int) -> None:
    """One failing login; some are recognised as brute force, a few reach for what they may not have."""
    trace, frame, at = request(world, coordinator, "POST", "/v1/auth/login", start_ns, 0.02, 401)
    sample = frame.process.sample
    sample(at, series("agents.auth.attempts", ("method", "password"), ("outcome", "failure")), 1.0)
    trace.log(frame, at, "WARN", "authentication failed: wrong password")
    if world.rng.random() < EVENT_RATIO:
        sample(at, series("agents.security.events", ("event_type", "brute_force"), ("severity", "high")), 1.0)
    if world.rng.random() < VIOLATION_RATIO:
        labels = (("violation_type", "privilege_escalation"), ("resource_class", "agent_config"))
        sample(at, series("agents.access.violations", *labels), 1.0)
