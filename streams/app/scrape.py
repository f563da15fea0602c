"""The boundary of a scrape: what one part of the page can not say leaves the rest standing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.publish.health import Health
from streams.publish.http import Render

_log = logging.getLogger(__name__)


class Described(Protocol):
    """A collector that knows its names without being asked for values."""

    def describe(self) -> Iterable[Family]:
        """The names."""

    def collect(self) -> Iterable[Family]:
        """The families of one scrape."""


class Part(Collector):
    """A collector whose failure costs only its own families. It is logged, and counted as a scrape's failure.

    Args:
        name: value of the label ``part``.
        collector: what may fail; its families are made before the first is given out.
        health: where it counts.
    """

    def __init__(self, name: str, collector: Described, health: Health) -> None:
        self._name, self._collector, self._health = name, collector, health

    def describe(self) -> Iterable[Family]:
        """The names, as the collector has them."""
        return self._collector.describe()

    def collect(self) -> Iterator[Family]:
        """The families of one scrape, or none of them."""
        try:
            found = list(self._collector.collect())
        except Exception:  # noqa: BLE001  the scrape's boundary, counted
            _failed(self._name, self._health)
            return
        yield from found


def rendered(name: str, render: Render, health: Health) -> Render:
    """The same for a part that is rendered as text."""

    def render_or_nothing(*, openmetrics: bool, names: Collection[str]) -> bytes:
        try:
            return render(openmetrics=openmetrics, names=names)
        except Exception:  # noqa: BLE001  the scrape's boundary, counted
            _failed(name, health)
            return b""

    return render_or_nothing


def _failed(name: str, health: Health) -> None:
    _log.exception("the part %s of /metrics is missing", name)
    health.scrape_failures.labels(name).inc()
