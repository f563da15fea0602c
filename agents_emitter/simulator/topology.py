"""Who is there and who calls whom: a multi-agent system cut into cells of about twelve agents.

One cell::

    user -> coordinator -> planner
                        -> researcher (several, in parallel) -> memory
                                                             -> tool caller
                        -> memory
"""

from __future__ import annotations

from typing import Final, NamedTuple

ROLES: Final = ("coordinator", "researcher", "tool_caller", "planner", "memory")
SERVICES: Final = ("coordination", "research", "tools", "planning", "memory")
TOOLS: Final = ("web_search", "code_interpreter", "sql_query", "document_reader")
MODELS: Final = {
    "coordinator": ("contoso", "contoso-large"),
    "planner": ("contoso", "contoso-large"),
    "researcher": ("northwind", "northwind-mini"),
}
"""Role -> (provider, model). The providers are invented."""

MIN_AGENTS: Final = 5
CELL_AGENTS: Final = 12


class Agent(NamedTuple):
    """One agent: its id is the Kafka key and ``gen_ai.agent.id``; ``tool`` is "" unless it is a tool caller."""

    id: str
    role: str
    service: str
    tool: str = ""


class Cell(NamedTuple):
    """Agents that work together; calls stay inside a cell."""

    coordinator: Agent
    planner: Agent
    memory: Agent
    researchers: tuple[Agent, ...]
    tool_callers: tuple[Agent, ...]

    @property
    def agents(self) -> tuple[Agent, ...]:
        """All of the cell, callers first."""
        return (self.coordinator, self.planner, *self.researchers, *self.tool_callers, self.memory)

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(client, server) agent ids of every call that can happen."""
        from_coordinator = [(self.coordinator.id, a.id) for a in (self.planner, *self.researchers, self.memory)]
        called = (*self.tool_callers, self.memory)
        return (*from_coordinator, *((r.id, a.id) for r in self.researchers for a in called))


class Topology(NamedTuple):
    """The whole system."""

    cells: tuple[Cell, ...]

    @property
    def agents(self) -> tuple[Agent, ...]:
        """Every agent, cell by cell."""
        return tuple(agent for cell in self.cells for agent in cell.agents)

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(client, server) agent ids of every call that can happen."""
        return tuple(edge for cell in self.cells for edge in cell.edges)


class _Namer:
    """Numbers the agents of each role and deals them out to services."""

    def __init__(self, services: int) -> None:
        self._services = services
        self._numbers = dict.fromkeys(ROLES, 0)

    def agent(self, role: str) -> Agent:
        number = self._numbers[role]
        self._numbers[role] = number + 1
        tool = TOOLS[number % len(TOOLS)] if role == "tool_caller" else ""
        return Agent(f"{role.replace('_', '-')}-{number + 1}", role, self._service(role, number), tool)

    def _service(self, role: str, number: int) -> str:
        place = ROLES.index(role)
        mine = range(place, self._services, len(ROLES)) or (place % self._services,)
        chosen = mine[number % len(mine)]
        suffix = "" if chosen < len(SERVICES) else f"-{chosen // len(SERVICES) + 1}"
        return SERVICES[chosen % len(SERVICES)] + suffix


def build_topology(agents: int, services: int) -> Topology:
    """Cells for a number of agents, spread over a number of services.

    Args:
        agents: at least 5 (one of each role); about 12 to a cell.
        services: at least 1; roles share services below 5, a role has several beyond.

    Raises:
        ValueError: too few agents or services.
    """
    if agents < MIN_AGENTS:
        raise ValueError(f"a system needs at least {MIN_AGENTS} agents (one of each role), got {agents}")
    if services < 1:
        raise ValueError(f"at least one service is needed, got {services}")
    namer = _Namer(services)
    count = max(1, agents // CELL_AGENTS)
    sizes = [agents // count + (1 if cell < agents % count else 0) for cell in range(count)]
    return Topology(tuple(_cell(namer, size) for size in sizes))


def _cell(namer: _Namer, size: int) -> Cell:
    others = size - 3
    researchers = max(1, others * 5 // 9)
    return Cell(
        coordinator=namer.agent("coordinator"),
        planner=namer.agent("planner"),
        memory=namer.agent("memory"),
        researchers=tuple(namer.agent("researcher") for _ in range(researchers)),
        tool_callers=tuple(namer.agent("tool_caller") for _ in range(others - researchers)),
    )
