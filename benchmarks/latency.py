"""From an event to what is seen of it: ``python -m benchmarks.latency --json`` prints one JSON line per load.

Agents emit live at 10 % and 80 % of what would fill one core with the worker, measured at 1 M events a second. Two
clocks, both from the moment the last event of a window's time was emitted:

``window``: until the window's record could be read from ``agents.windows`` (the broker's append time of the record is
not trusted: a consumer waits for it here). Beyond close = minus window and lateness that were asked for.
``alert``: an event crosses a limit; until Alertmanager's API shows the alert. The rule looks at one window, without
``for``; minus the rest of the window and the lateness.

p50 and p99 are over windows (all partitions) and over alerts (one per agent and round).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Position

from agents_emitter import events
from benchmarks.broker import broker, fill
from benchmarks.data import SECOND_NS, resource
from benchmarks.worker import Feed, Worker, eventually, killed
from streams import topics
from streams.domain.window import decode_window_batch
from streams.services.alertmanager import AlertmanagerService
from streams.settings import Settings

PARTITIONS: Final = 4
LATENESS_SECONDS: Final = 5.0
PANE_SECONDS: Final = 10
PROBE_EVENTS_PER_SECOND: Final = 1_000_000
PROBE_SECONDS: Final = 20.0
ALERT_AGENTS: Final = 20
RULES: Final = """
version: 1
rules:
  Bench:
    metric: bench.level
    statistic: max
    window_seconds: 10
    group_by: [agent.id]
    levels:
      - {severity: critical, op: ">", threshold: 100}
    summary: "{agent.id}"
"""


def variables(brokers: str, **more: object) -> dict[str, str]:
    settings: dict[str, object] = {"brokers": brokers, "partitions": PARTITIONS, "idle_seconds": 1, **more}
    return {f"STREAMS_{name.upper()}": str(value) for name, value in settings.items()}


def capacity(brokers: str, folder: Path) -> float:
    """Events a second with which one worker would fill a core, from its CPU time at a live load it can bear.

    Not from a backlog: there the agents and the broker, which share the machine, stand still.
    """
    feed = Feed(brokers, PROBE_EVENTS_PER_SECOND, "probe")
    worker = Worker(folder, variables(brokers, group_prefix="capacity"))
    with killed(worker):
        worker.up()
        feed.start()
        eventually(lambda: feed.sent.events - worker.counted().total() < PROBE_EVENTS_PER_SECOND, "caught up")
        cpu, begin, first = worker.cpu_seconds(), time.monotonic(), worker.counted().total()
        eventually(lambda: time.monotonic() - begin >= PROBE_SECONDS, "the probe")
        return (worker.counted().total() - first) / (worker.cpu_seconds() - cpu)


class WindowWatch(threading.Thread):
    """Reads ``agents.windows`` and notes when each base window of ``agents.metrics`` was complete."""

    def __init__(self, brokers: str) -> None:
        super().__init__(daemon=True)
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "watch", "fetch.wait.max.ms": 10})
        ends = []
        for p in range(PARTITIONS):
            tp = Position(topics.WINDOWS, p)
            ends.append(Position(topics.WINDOWS, p, self._consumer.get_watermark_offsets(tp, timeout=30)[1]))
        self._consumer.assign(ends)
        self.stop = threading.Event()
        self.delays: list[tuple[int, float]] = []

    def run(self) -> None:
        """Reads until told to stop."""
        while not self.stop.is_set():
            for message in self._consumer.consume(100, timeout=0.01):
                now_ns = time.time_ns()
                if message.error() is None and (message.key() or b"").startswith(b"agents.metrics/"):
                    self._note(decode_window_batch(message.value()), now_ns)
        self._consumer.close()

    def _note(self, batch: Any, now_ns: int) -> None:
        if batch.end_ns - batch.start_ns == PANE_SECONDS * SECOND_NS and batch.chunk == batch.chunks - 1:
            delay = (now_ns - batch.end_ns) / 1e9 - LATENESS_SECONDS
            self.delays.append((batch.start_ns, delay))


class AlertWatch(threading.Thread):
    """Polls Alertmanager's API and notes when each agent's alert was seen first."""

    def __init__(self, alertmanager: AlertmanagerService) -> None:
        super().__init__(daemon=True)
        self._alertmanager = alertmanager
        self.stop = threading.Event()
        self.seen: dict[str, int] = {}

    def run(self) -> None:
        """Polls until told to stop."""
        while not self.stop.is_set():
            for alert in self._alertmanager.alerts():
                agent = alert["labels"].get("agent_id") or alert["labels"].get("agent.id", "")
                self.seen.setdefault(agent, time.time_ns())
            time.sleep(0.02)


def crossing(producer: Producer, agent: str) -> int:
    """An agent's value above the limit; returns when it was emitted."""
    now_ns = time.time_ns()
    head = events.encode_metric_head(
        {**resource(0), "gen_ai.agent.id": agent}, [events.SeriesDefinition("bench.level", "1", "gauge")], agent
    )
    value = events.encode_metric_batch(
        head, seq=0, dropped_total=0, base_time_unix_nano=now_ns, index=[0], offset_ns=[0], value=[1_000.0]
    )
    producer.produce(events.METRICS_TOPIC, value, key=agent.encode())
    producer.poll(0)
    return now_ns


def at_load(brokers: str, folder: Path, alertmanager: AlertmanagerService, rate: float, seconds: float) -> Any:
    """One load."""
    feed = Feed(brokers, round(rate), f"load-{round(rate)}")
    rules = folder / "rules.yml"
    rules.write_text(RULES)
    group = f"load-{round(rate)}"
    metrics = Worker(folder, variables(brokers, group_prefix=group, instance_id="m"))
    alerts = Worker(
        folder,
        variables(brokers, group_prefix=group, thresholds_path=rules, alertmanager_urls=alertmanager.url),
        role="alerts",
    )
    emitted: dict[str, int] = {}
    with killed(metrics, alerts):
        metrics.start()
        alerts.up()
        eventually(metrics.is_ready, "ready")
        feed.start()
        eventually(lambda: feed.sent.events - metrics.counted().total() < rate, "caught up", 300)
        windows, seen = WindowWatch(brokers), AlertWatch(alertmanager)
        windows.start()
        seen.start()
        begin_ns, cpu, begin = time.time_ns(), metrics.cpu_seconds(), time.monotonic()
        producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
        while time.monotonic() - begin < seconds:
            agent = f"alerting-{len(emitted)}"
            emitted[agent] = crossing(producer, agent)
            time.sleep(seconds / ALERT_AGENTS)
        busy = (metrics.cpu_seconds() - cpu) / (time.monotonic() - begin)
        eventually(lambda: emitted.keys() <= seen.seen.keys(), "all alerts")
        lag = feed.sent.events - metrics.counted().total()
        feed.finish()
        windows.stop.set()
        seen.stop.set()
        windows.join()
        seen.join()
    alert = [beyond(emitted[agent], seen.seen[agent]) for agent in emitted]
    window = [delay for start_ns, delay in windows.delays if start_ns >= begin_ns]
    return {
        "events_per_second": round(rate),
        "window_seconds_p50": quantile(window, 0.5),
        "window_seconds_p99": quantile(window, 0.99),
        "windows": len(window),
        "alert_seconds_p50": quantile(alert, 0.5),
        "alert_seconds_p95": quantile(alert, 0.95),
        "alert_seconds_p99": quantile(alert, 0.99),
        "alerts": len(alert),
        "worker_cpu_ratio": round(busy, 2),
        "lag_events_at_end": lag,
        "feed_late_seconds": round(feed.late_seconds, 2),
        "target_p99_seconds": 1,
        "target_alert_p95_seconds": 5,
    }


def beyond(emitted_ns: int, seen_ns: int) -> float:
    """Seconds after the event's window had closed and the lateness was over."""
    pane_ns = PANE_SECONDS * SECOND_NS
    end_ns = (emitted_ns // pane_ns + 1) * pane_ns
    return (seen_ns - end_ns) / 1e9 - LATENESS_SECONDS


def quantile(found: Sequence[float], q: float) -> float | None:
    ordered = sorted(found)
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 3) if ordered else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each load lasts")
    parser.add_argument("--capacity", type=float, help="events a second of one worker, instead of measuring it")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.1, 0.8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as name:
        folder = Path(name)
        full = options.capacity
        if full is None:
            with broker() as brokers:
                fill(Settings(brokers=brokers, partitions=PARTITIONS), [])
                full = capacity(brokers, folder)
        for load in options.loads:
            with broker() as brokers, AlertmanagerService(folder / f"alertmanager-{load}") as alertmanager:
                fill(Settings(brokers=brokers, partitions=PARTITIONS), [])
                found = at_load(brokers, folder, alertmanager, load * full, options.seconds)
            found = {"load": load, "capacity_events_per_second": round(full), **found}
            print(json.dumps(found) if options.json else "\n".join(f"{k:28} {v}" for k, v in found.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
