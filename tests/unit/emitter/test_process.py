from __future__ import annotations

import os
import threading

import psutil

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
    stats = emitter.stats().samples
    assert stats.emitted == stats.delivered, "nothing is sampled into a closed emitter"
