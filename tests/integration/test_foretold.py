"""On a worker's page: the sum of agents of two partitions with its forecast, and what is expected of their memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents_emitter.events import encode_single
from streams import topics
from tests.pipeline import Sent, eventually, open_pipeline

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
SECOND_NS = 1_000_000_000
STEPS = 40
AGENTS = 30


def sent(name: str, value: float, unit: str, agent: int, time_ns: int) -> Sent:
    who = f"agent-{agent}"
    resource = {"service.name": "planning", "gen_ai.agent.id": who, "deployment.environment.name": "test"}
    body = encode_single(name, value, kind="gauge", unit=unit, resource=resource, time_unix_nano=time_ns)
    return Sent(topics.METRICS, who.encode(), body)


def test_a_limit_of_the_whole_is_foretold_from_all_partitions(tmp_path: Path, cache_folder: Path) -> None:
    with open_pipeline(tmp_path, cache_folder, partitions=2, pane_seconds=1, window_seconds="1,2") as pipeline:
        worker = pipeline.worker("all").up()
        begin_ns = time.time_ns() // SECOND_NS * SECOND_NS - 2 * STEPS * SECOND_NS
        pipeline.produce(
            sent("agents.active", 1.0, "{agent}", agent, begin_ns + second * SECOND_NS)
            for second in range(2 * STEPS)
            for agent in range(min(AGENTS, 1 + second // 3))
        )
        group = {"resource": "active_agents", "environment": "test"}
        # the growth of 1 agent in 3 s goes on: of 27 agents or so to 50 it is about 70 s
        eventually(
            lambda: (
                0.4 < worker.total("agents_capacity_used_ratio", **group) < 0.6
                and 30 < worker.total("agents_capacity_seconds_to_limit", bound="expected", **group) < 120
            ),
            "the sum of both partitions and when it reaches its limit",
        )


def test_what_is_expected_is_exported(tmp_path: Path, cache_folder: Path) -> None:
    with open_pipeline(tmp_path, cache_folder, partitions=2, pane_seconds=1, window_seconds="1,2") as pipeline:
        worker = pipeline.worker("all").up()
        begin_ns = time.time_ns() // SECOND_NS * SECOND_NS - 60 * SECOND_NS
        pipeline.produce(sent("agents.memory", 1e6, "By", 0, begin_ns + second * SECOND_NS) for second in range(60))
        where = {"metric": "agents.memory", "feature": "mean", "agent_id": "agent-0"}
        eventually(lambda: worker.total("agents_expected", **where) == 1e6, "a band, provisional")
        assert worker.total("agents_expected_upper", **where) == pytest.approx(1.02e6)
        assert worker.total("agents_expected_provisional", **where) == 1
