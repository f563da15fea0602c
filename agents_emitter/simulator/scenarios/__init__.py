"""The scenarios by name: (topology, interval of the fault, randomness) -> conditions.

``burst_free`` is not among them: it has no workflows (see :mod:`agents_emitter.simulator.load`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.scenarios.cascade import cascade
from agents_emitter.simulator.scenarios.deployment import bad_deployment
from agents_emitter.simulator.scenarios.health import normal_day
from agents_emitter.simulator.scenarios.memory import memory_leak
from agents_emitter.simulator.scenarios.model import model_outage
from agents_emitter.simulator.scenarios.security import security_burst
from agents_emitter.simulator.scenarios.silence import agent_silence
from agents_emitter.simulator.scenarios.tool import slow_tool
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Topology

BUILDERS: Final[dict[str, Callable[[Topology, Interval, Random], Conditions]]] = {
    "normal_day": normal_day,
    "slow_tool": slow_tool,
    "memory_leak": memory_leak,
    "model_outage": model_outage,
    "cascade": cascade,
    "bad_deployment": bad_deployment,
    "security_burst": security_burst,
    "agent_silence": agent_silence,
}
