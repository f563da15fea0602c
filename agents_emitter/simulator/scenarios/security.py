"""Somebody tries passwords."""

from __future__ import annotations

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Topology
from agents_emitter.simulator.truth import Fault

ATTACKS_PER_SECOND = 5.0
"""Ten times what AuthFailuresHigh tolerates."""


class SecurityBurst(Conditions):
    """Failing logins at one coordinator, and now and then something worse."""

    def __init__(self, target: Agent, interval: Interval, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._target = target.id
        self._interval = interval

    def attacks_per_second(self, time_ns: int) -> float:
        """See the class."""
        return ATTACKS_PER_SECOND if self._interval.holds(time_ns) else 0.0

    def attacked(self) -> str:
        """See the class."""
        return self._target


def security_burst(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """A burst against one coordinator; its work goes on."""
    target = rng.choice(topology.cells).coordinator
    where = {"agent.id": target.id}
    fault = Fault(
        kind="security_burst",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=target.id,
        affected=(target.id,),
        onsets_ns=(interval.start_ns,),
        metrics=(
            ("agents.auth.attempts", {**where, "method": "password", "outcome": "failure"}),
            ("agents.security.events", where),
            ("agents.access.violations", where),
            ("http.requests", {**where, "route": "/v1/auth/login", "status": "401"}),
            ("agents.log.records", {**where, "severity": "WARN"}),
        ),
        expected_alerts=("AuthFailuresHigh", "AccessViolation", "SecurityAnomaly"),
    )
    return SecurityBurst(target, interval, (fault,))
