from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import Any

import psutil

from agents_emitter.process import ProcessSampler
from tests.unit.emitter.broker import Broker, emitter_for, eventually


def test_the_own_process_is_sampled_with_a_heartbeat() -> None:
    broker = Broker()
    with emitter_for(broker, process_interval_seconds=0.02) as emitter:
        eventually(lambda: len({name for name, _, _ in broker.samples()}) == 5)
        threads = threading.active_count()
    found = {name: value for name, _, value in broker.samples()}
    assert found.pop("agents.heartbeat") == 1
    assert 0 <= found.pop("process.cpu.utilization") <= 1
    process = psutil.Process()
    assert 0.2 < found.pop("process.memory.usage") / process.memory_info().rss < 5
    assert found.pop("process.open_file_descriptor.count") >= 3
    assert found.pop("process.thread.count") >= min(2, threads)
    assert found == {}
    resource = broker.of("agents.metrics")[0].body["resource"]
    assert resource["process.pid"] == str(os.getpid())
    emitter._sample_process()
    stats = emitter.stats().samples
    assert stats.emitted == stats.delivered, "nothing is sampled into a closed emitter"


class Process:
    """What the sampler asks of psutil."""

    def cpu_percent(self) -> float:
        return 150.0

    def memory_info(self) -> Any:
        return SimpleNamespace(rss=1024)

    def num_threads(self) -> int:
        return 3

    def num_handles(self) -> int:
        return 4


def test_processor_time_is_a_share_of_all_processors_and_handles_stand_for_descriptors() -> None:
    broker = Broker()
    with emitter_for(broker) as emitter:
        sampler = ProcessSampler(emitter)
        sampler._process, sampler._processors = Process(), 2
        sampler.sample()
    assert {name: value for name, _, value in broker.samples()} == {
        "agents.heartbeat": 1,
        "process.cpu.utilization": 0.75,
        "process.memory.usage": 1024,
        "process.thread.count": 3,
        "process.open_file_descriptor.count": 4,
    }
