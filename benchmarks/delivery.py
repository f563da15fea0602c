"""From a transition to Alertmanager's answer, with two real peers: ``python -m benchmarks.delivery --json``.

One JSON line per phase: both peers answer; one of them hangs (SIGSTOP); the same with a burst at once. Seconds are from
the moment the publisher was given a transition until the healthy peer had answered 200 to a post with it. The aim: a
peer that hangs leaves the other's p99 at 2 s or less. Times are the publisher's own: what comes before it is
``benchmarks.latency``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client import CollectorRegistry

from streams.domain.alert import AlertTransition, fingerprint
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.publish.health import make_health
from streams.services import install
from streams.services.alertmanager import AlertmanagerService

TARGET_P99_SECONDS: Final = 2.0
DEADLINE_SECONDS: Final = 60.0


class Stopwatch(httpx.AsyncHTTPTransport):
    """Notes when the healthy peer had answered 200 for each alert."""

    def __init__(self, port: int, alerts: int) -> None:
        super().__init__(trust_env=False)
        self._port, self._alerts = port, alerts
        self.all = asyncio.Event()
        self.answered: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Passes on."""
        answer = await super().handle_async_request(request)
        if request.method == "POST" and request.url.port == self._port and answer.status_code == 200:
            now = time.perf_counter()
            for alert in json.loads(request.content):
                self.answered.setdefault(alert["labels"]["agent_id"], now)
            if len(self.answered) == self._alerts:
                self.all.set()
        return answer


def alert(agent: str) -> AlertTransition:
    """It fires."""
    identity: Mapping[str, str] = {"alertname": "Bench", "agent.id": agent}
    now_ns = time.time_ns()
    return AlertTransition(
        fingerprint=fingerprint(identity),
        seq=0,
        state="firing",
        previous="",
        alertname="Bench",
        severity="high",
        identity=identity,
        annotations={"summary": agent},
        starts_at_ns=now_ns,
        at_ns=now_ns,
        ends_at_ns=0,
        value=1.0,
        threshold=0.5,
    )


async def phase(name: str, urls: Sequence[str], port: int, alerts: int, pause_seconds: float) -> dict[str, Any]:
    """Gives the publisher alerts one after the other and waits until the healthy peer has all of them."""
    watch, given = Stopwatch(port, alerts), dict[str, float]()
    publisher = AlertmanagerPublisher(
        urls,
        clock_ns=time.time_ns,
        stats=make_health(CollectorRegistry(), version=""),
        settings=AlertmanagerSettings(drain_seconds=0.0),
        transport=watch,
    )
    await publisher.start()
    try:
        for i in range(alerts):
            agent = f"{name}-{i}"
            given[agent] = time.perf_counter()
            publisher.update(alert(agent))
            await asyncio.sleep(pause_seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watch.all.wait(), DEADLINE_SECONDS)
        unsent = publisher.unsent
    finally:
        await publisher.stop()
    took = sorted(watch.answered[agent] - given[agent] for agent in watch.answered)
    quantiles = {
        f"p{round(100 * q)}": round(took[min(len(took) - 1, int(q * len(took)))], 4) for q in (0.5, 0.95, 0.99)
    }
    figures = {f"seconds_{quantile}": seconds for quantile, seconds in quantiles.items()}
    return {
        "phase": name,
        "alerts": alerts,
        "arrived": len(took),
        **figures,
        "worst_peer_lacks": unsent,
        "target_p99_seconds": TARGET_P99_SECONDS,
        "met": len(took) == alerts and quantiles["p99"] <= TARGET_P99_SECONDS,
    }


def main() -> int:
    """Runs all phases; 1 if one of them missed the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--alerts", type=int, default=500, help="in each phase")
    options = parser.parse_args()
    install.install()
    met = True
    with (
        tempfile.TemporaryDirectory(prefix="streams-bench-") as name,
        AlertmanagerService(Path(name) / "healthy") as healthy,
        AlertmanagerService(Path(name) / "other") as other,
    ):
        for title, hangs, pause_seconds in (("both", False, 0.02), ("hanging", True, 0.02), ("burst", True, 0.0)):
            if hangs:
                other.pause()
            found = asyncio.run(phase(title, [other.url, healthy.url], healthy.port, options.alerts, pause_seconds))
            met = met and found["met"]
            print(json.dumps(found) if options.json else "\n".join(f"{k:20} {v}" for k, v in found.items()), flush=True)
        other.resume()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
