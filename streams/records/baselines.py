"""Pinned baselines: read, and pinned from the closed windows as they are now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streams import topics
from streams.domain.baseline import Pinned, baseline_key, decode_pinned, encode_pinned
from streams.errors import ConfigurationError
from streams.gate.book import GateBook
from streams.gate.samples import Pane, dump, load, observations
from streams.records import table
from streams.records.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Pin:
    """What is to be pinned, by whom and why."""

    version: str
    by: str
    why: str


async def all_pinned(brokers: Cluster) -> list[Pinned]:
    """Every baseline, in the order of keys.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    found = await table.newest(brokers, topics.BASELINES, decode_pinned, lambda one: one.key)
    return [found[key] for key in sorted(found)]


async def pinned_panes(brokers: Cluster, book: GateBook) -> dict[str, dict[int, Pane]]:
    """Gate -> panes of the baseline of a book's service in its environment, else of the one for any; {} without one.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    known = {one.key: one for one in await all_pinned(brokers)}
    for environment in (book.environment, ""):
        found = known.get(baseline_key(book.profile.name, book.service, environment))
        if found is not None:
            return {gate: load(panes) for gate, panes in found.gates.items()}
    return {}


async def pin(brokers: Cluster, book: GateBook, asked: Pin, clock_ns: Callable[[], int]) -> Pinned:
    """Pins what a filled book holds of a version.

    Raises:
        ConfigurationError: see :func:`record_of`. ServiceUnavailable: no broker answers, or the topic is missing.
    """
    made, value = record_of(book, asked, clock_ns())
    await table.write(brokers, topics.BASELINES, made.key, value)
    return made


def record_of(book: GateBook, asked: Pin, now_ns: int) -> tuple[Pinned, bytes]:
    """What a filled book holds of a version, and the value of its record.

    Raises:
        ConfigurationError: no gate of the profile looks at pinned baselines, there is too little data for one that
            does, or it is larger than a record may be.
    """
    gates = measured(book, asked.version)
    made = Pinned(
        *(book.service, book.environment, book.profile.name, asked.version, asked.by, asked.why), now_ns, gates
    )
    value, most = encode_pinned(made), topics.BY_NAME[topics.BASELINES].max_record_bytes
    if len(value) >= most:
        raise ConfigurationError(f"the baseline has {len(value)} bytes, a record at most {most}: shorten the windows")
    return made, value


def sizes(pinned: Pinned) -> dict[str, dict[str, int]]:
    """Gate -> windows and samples that it is held by."""
    return {
        gate: {"windows": len(panes), "samples": sum(pane[1] for pane in panes)} for gate, panes in pinned.gates.items()
    }


def measured(book: GateBook, version: str) -> dict[str, list[list[Any]]]:
    """Gate -> panes of a version, of the gates that look at pinned baselines.

    Raises:
        ConfigurationError: there is no such gate, or too little data for one.
    """
    asked = [gate for gate in book.profile.comparisons if gate.against == "pinned"]
    if not asked:
        raise ConfigurationError(f"no comparison of profile {book.profile.name} is against: pinned")
    evidence, gates = book.evidence(version, ""), {}
    for gate in asked:
        panes = evidence[gate.name].candidate
        samples = observations(panes, gate.source.statistic)
        if len(panes) < gate.min_windows or samples < gate.min_samples:
            raise ConfigurationError(
                f"{gate.name}: {len(panes)} of at least {gate.min_windows} windows and {samples} of at least "
                f"{gate.min_samples} samples of version {version}: nothing is pinned"
            )
        gates[gate.name] = dump(panes)
    return gates
