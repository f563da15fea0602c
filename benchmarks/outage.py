"""An agent's calls while its broker is away: ``python -m benchmarks.outage --seconds 60 --json``.

A real broker is stopped with SIGSTOP for the given time while one thread emits. Printed: how long the calls took before
and during, memory, and whether emitted = delivered + dropped once delivery has resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from agents_emitter import Emitter
from benchmarks.broker import fill
from streams.services.jars import default_cache_folder
from streams.services.kafka import KafkaService
from streams.settings import Settings


class Agent(threading.Thread):
    """Emits about 10,000 samples a second and notes how long each call took."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__(daemon=True)
        self.calls_ns: list[int] = []
        self.stop = threading.Event()
        self._add = emitter.counter("agents.steps").labels(step_type="plan", outcome="success").add

    def run(self) -> None:
        """Until told to stop."""
        clock, note, add = time.perf_counter_ns, self.calls_ns.append, self._add
        while not self.stop.is_set():
            for _ in range(100):
                begin = clock()
                add(1)
                note(clock() - begin)
            time.sleep(0.01)


def percentile_us(calls_ns: list[int], q: float) -> float:
    return round(sorted(calls_ns)[int(q * (len(calls_ns) - 1))] / 1000, 2)


def measure(seconds: float) -> dict[str, float | int | bool]:
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        kafka = KafkaService(Path(folder), cache_folder=default_cache_folder(os.environ))
        kafka.start()
        try:
            fill(Settings(brokers=kafka.bootstrap), [])
            return _outage(kafka, seconds)
        finally:
            kafka.stop()


def _outage(kafka: KafkaService, seconds: float) -> dict[str, float | int | bool]:
    process = psutil.Process()
    emitter = Emitter(kafka.bootstrap, service_name="bench", agent_id="agent-1", process_interval_seconds=0)
    agent = Agent(emitter)
    agent.start()
    time.sleep(5)
    before, rss_before = len(agent.calls_ns), process.memory_info().rss
    kafka.pause()
    time.sleep(seconds)
    during, rss_during = len(agent.calls_ns), process.memory_info().rss
    kafka.resume()
    resumed = time.monotonic()
    agent.stop.set()
    agent.join()
    delivered = emitter.close(120)
    stats = emitter.stats().samples
    calls = agent.calls_ns[before:during]
    return {
        "outage_seconds": seconds,
        "calls_during": len(calls),
        "p50_us": percentile_us(calls, 0.5),
        "p99_us": percentile_us(calls, 0.99),
        "p50_us_before": percentile_us(agent.calls_ns[:before], 0.5),
        "p99_us_before": percentile_us(agent.calls_ns[:before], 0.99),
        "rss_growth_bytes": rss_during - rss_before,
        "emitted": stats.emitted,
        "delivered": stats.delivered,
        "dropped": stats.dropped,
        "sums_agree": bool(delivered) and stats.emitted == stats.delivered + stats.dropped == len(agent.calls_ns),
        "seconds_until_all_delivered": round(time.monotonic() - resumed, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", help="JSON only")
    options = parser.parse_args()
    figures = measure(options.seconds)
    print(json.dumps(figures) if options.json else "\n".join(f"{k:30} {v}" for k, v in figures.items()))
    return 0 if figures["sums_agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
