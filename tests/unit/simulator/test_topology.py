"""Who is there and who may call whom."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.simulator.topology import ROLES, SERVICES, build_topology


@given(agents=st.integers(5, 200), services=st.integers(1, 20))
def test_any_size_is_exact_and_complete(agents: int, services: int) -> None:
    topology = build_topology(agents, services)
    ids = [agent.id for agent in topology.agents]
    assert len(set(ids)) == len(ids) == agents
    assert len({agent.service for agent in topology.agents}) <= services
    for cell in topology.cells:
        assert {agent.role for agent in cell.agents} == set(ROLES)
        assert len(cell.agents) < 24
    for client, server in topology.edges:
        assert ids.index(client) < ids.index(server) or server.startswith("memory")


def test_twelve_agents_in_three_services() -> None:
    (cell,) = build_topology(12, 3).cells
    assert Counter(agent.role for agent in cell.agents) == {
        "coordinator": 1,
        "planner": 1,
        "memory": 1,
        "researcher": 5,
        "tool_caller": 4,
    }
    assert {agent.service for agent in cell.agents} == set(SERVICES[:3])
    assert [agent.tool for agent in cell.tool_callers] == [
        "web_search",
        "code_interpreter",
        "sql_query",
        "document_reader",
    ]
    assert ("researcher-1", "tool-caller-4") in cell.edges
    assert ("coordinator-1", "tool-caller-1") not in cell.edges


def test_agents_work_in_cells_of_about_twelve() -> None:
    assert [len(cell.agents) for cell in build_topology(30, 3).cells] == [15, 15]
    assert [len(cell.agents) for cell in build_topology(50, 3).cells] == [13, 13, 12, 12]


def test_roles_share_few_services_and_spread_over_many() -> None:
    assert {agent.service for agent in build_topology(12, 1).agents} == {"coordination"}
    researchers = build_topology(48, 10).agents
    assert {a.service for a in researchers if a.role == "researcher"} == {"research", "research-2"}
