"""A part of the page that fails costs its own families, is counted, and leaves the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.app import scrape
from streams.publish.health import make_health
from streams.publish.http import WorkerServer

FAILURES = "streams_scrape_failures_total"


class Lamp(Collector):
    """Two families; breaks between them while ``broken``."""

    def __init__(self) -> None:
        self.broken = False

    def describe(self) -> Iterator[Family]:
        yield Family("lamp", "Whether it is lit.", "gauge")

    def collect(self) -> Iterator[Family]:
        family = Family("lamp", "Whether it is lit.", "gauge")
        family.add_sample("lamp", {}, 1.0)
        yield family
        if self.broken:
            raise RuntimeError("the lamp is broken")


@pytest.mark.parametrize("windows_fail", [True, False])
@pytest.mark.parametrize("lamp_fails", [True, False])
def test_a_part_that_fails_is_missing_and_counted(windows_fail: bool, lamp_fails: bool) -> None:
    registry, lamp = CollectorRegistry(), Lamp()
    health = make_health(registry, version="1")
    registry.register(scrape.Part("lamp", lamp, health))
    lamp.broken = lamp_fails

    def windows(*, openmetrics: bool, names: Collection[str]) -> bytes:
        if windows_fail:
            raise KeyError("a series")
        return b"# TYPE agents_steps gauge\nagents_steps 3.0\n"

    more = scrape.rendered("windows", windows, health)
    server = WorkerServer(registry, live=list, ready=list, more=more)
    server.start()
    try:
        for _ in range(2):  # the second shows what the first counted
            answer = httpx.get(f"{server.url}/metrics", trust_env=False)
    finally:
        server.stop()
    lines = answer.text.splitlines()
    assert answer.status_code == 200
    assert ("lamp 1.0" in lines) is not lamp_fails
    assert ("agents_steps 3.0" in lines) is not windows_fail
    failures = {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith(f"{FAILURES}{{")}
    assert failures.keys() == {n for n, fails in (("windows", windows_fail), ("lamp", lamp_fails)) if fails}
    assert all(count >= 1 for count in failures.values())
