"""The metrics that simulated agents report: names, units and kinds in one table.

``agents.log.records`` is not among them: the pipeline makes it from the logs themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from agents_emitter.events import Kind, SeriesDefinition

METRICS: Final[dict[str, tuple[str, Kind]]] = {
    "agents.active": ("{agent}", "gauge"),
    "agents.heartbeat": ("1", "counter"),
    "agents.lifecycle.events": ("1", "counter"),
    "agents.steps": ("1", "counter"),
    "agents.errors": ("1", "counter"),
    "agents.inference.duration": ("s", "histogram"),
    "agents.memory": ("By", "gauge"),
    "agents.cpu": ("1", "gauge"),
    "agents.coordination.requests": ("1", "counter"),
    "agents.coordination.duration": ("s", "histogram"),
    "agents.coordination.sessions.active": ("{session}", "gauge"),
    "agents.belief.updates": ("1", "counter"),
    "agents.belief.predictions": ("1", "counter"),
    "agents.belief.free_energy": ("{nat}", "gauge"),
    "agents.interactions": ("1", "counter"),
    "agents.response.quality": ("1", "histogram"),
    "agents.auth.attempts": ("1", "counter"),
    "agents.security.events": ("1", "counter"),
    "agents.access.violations": ("1", "counter"),
    "gen_ai.client.token.usage": ("{token}", "histogram"),
    "gen_ai.client.operation.duration": ("s", "histogram"),
    "gen_ai.invoke_agent.duration": ("s", "histogram"),
    "gen_ai.execute_tool.duration": ("s", "histogram"),
    "http.requests": ("1", "counter"),
    "http.request.duration": ("s", "histogram"),
    "process.memory.usage": ("By", "gauge"),
    "process.cpu.utilization": ("1", "gauge"),
    "process.open_file_descriptor.count": ("{count}", "gauge"),
    "process.thread.count": ("{thread}", "gauge"),
}
"""Name -> (UCUM unit, kind)."""


@lru_cache(maxsize=4096)
def series(name: str, *labels: tuple[str, str]) -> SeriesDefinition:
    """The definition of one series; pairs with an empty value (no error) are left out.

    Raises:
        KeyError: a name that is not in :data:`METRICS`.
    """
    unit, kind = METRICS[name]
    return SeriesDefinition(name, unit, kind, tuple(sorted(pair for pair in labels if pair[1])))
