"""Agents of two partitions become more, until few places are left: their sum, its forecast, on a worker's page."""

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


def beat(agent: int, time_ns: int) -> Sent:
    name = f"agent-{agent}"
    resource = {"service.name": "planning", "gen_ai.agent.id": name, "deployment.environment.name": "test"}
    value = encode_single("agents.active", 1.0, kind="gauge", unit="{agent}", resource=resource, time_unix_nano=time_ns)
    return Sent(topics.METRICS, name.encode(), value)


def test_a_limit_of_the_whole_is_foretold_from_all_partitions(tmp_path: Path, cache_folder: Path) -> None:
    with open_pipeline(tmp_path, cache_folder, partitions=2, pane_seconds=1, window_seconds="1,2") as pipeline:
        worker = pipeline.worker("all").up()
        begin_ns = time.time_ns() // SECOND_NS * SECOND_NS - 2 * STEPS * SECOND_NS
        pipeline.produce(
            beat(agent, begin_ns + second * SECOND_NS)
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
