"""What a source log comes to, computed the slow way: no code of the pipeline, one event after the other.

The rules are those of docs/DESIGN.md: a batch counts once per (producer, number); a sample is late when its pane had
ended at the watermark before its record; the watermark is the largest time seen, not beyond the append time, less the
lateness, and never goes back; a longer window is the sum of its panes.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SECOND_NS = 1_000_000_000
GRACE_NS = 10 * SECOND_NS
LANE = "lane"
"""The label that names a series of the generator."""
_OF_THE_RESOURCE = {"service.name", "agent.id"}


class LogRecord(NamedTuple):
    """A record of the source topic as the broker holds it; ``append_ns`` is the broker's time."""

    partition: int
    offset: int
    append_ns: int
    value: bytes


class Pane(NamedTuple):
    """One series in one window of one partition."""

    partition: int
    size_ns: int
    start_ns: int
    lane: str


class Tally(NamedTuple):
    """What is in it."""

    count: int
    sum: float
    minimum: float
    maximum: float


@dataclass
class Truth:
    """Everything a log comes to.

    Attributes:
        values: the values of each window, in log order. fates: events by fate, per partition.
        batches: how often each (producer, number) lies in the log.
    """

    values: dict[Pane, list[float]] = field(default_factory=dict)
    fates: dict[int, Counter[str]] = field(default_factory=dict)
    batches: Counter[tuple[str, int]] = field(default_factory=Counter)

    def tallies(self) -> dict[Pane, Tally]:
        """Count, exact sum (``math.fsum``), minimum and maximum of each window."""
        return {p: Tally(len(v), math.fsum(v), min(v), max(v)) for p, v in self.values.items()}


def lane_of(name: str, labels: Mapping[str, str], service: str) -> str:
    """The generator's name of a series; of one that is not its own the service, the name and what tells it apart."""
    own = (f"{k}={v}" for k, v in sorted(labels.items()) if k not in _OF_THE_RESOURCE)
    return labels.get(LANE) or "|".join((service, name, *own))


def samples(body: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    """(lane, time in ns, value) of a packed metric batch."""
    index, offset, value = (
        struct.unpack(f"<{body['count']}{code}", base64.b64decode(body[name]))
        for name, code in (("index", "H"), ("offset_ns", "q"), ("value", "d"))
    )
    base, service = body["base_time_unix_nano"], body["resource"].get("service.name", "")
    lanes = [lane_of(series["name"], series["labels"], service) for series in body["series"]]
    for i, after, number in zip(index, offset, value, strict=True):
        yield lanes[i], base + after, number


class Clocks:
    """Time of one partition.

    Args:
        by_source: producers are named ``.../topic/partition/digest``; time is that of the slowest source (topic and
            partition) that has not said that it is idle, and ticks of the log itself move it only where there is none.
            Time stands still for 10 s of the append time after the first source is heard. Else the newest time counts.
    """

    def __init__(self, *, by_source: bool) -> None:
        self._by_source = by_source
        self._of: dict[str, int] = {}
        self._since_ns = 0
        self.watermark_ns = 0

    def hear(self, body: Mapping[str, Any], largest_ns: int, lateness_ns: int, append_ns: int) -> None:
        """A record of which the newest time is ``largest_ns`` (-1: none)."""
        source = body.get("source") or "/".join(body.get("producer", "").split("/")[-3:-1])
        now_ns: int | None = largest_ns
        if self._by_source:
            if body.get("idle"):
                self._of.pop(source, None)
                now_ns = None
            elif source and largest_ns >= 0:
                self._since_ns = self._since_ns if self._of else append_ns
                self._of[source] = max(largest_ns, self._of.get(source, 0))
            now_ns = min(self._of.values(), default=now_ns)
            if self._of and append_ns - self._since_ns < GRACE_NS:
                now_ns = None
        if now_ns is not None and largest_ns >= 0:
            self.watermark_ns = max(self.watermark_ns, now_ns - lateness_ns)


def truth(
    log: Iterable[LogRecord],
    *,
    sizes_ns: Sequence[int],
    lateness_ns: int,
    once: bool = True,
    by_source: bool = False,
) -> Truth:
    """Applies a log, offsets ascending within each partition.

    Args:
        log: the source topic, ticks included.
        sizes_ns: lengths of windows, the shortest (the pane) first.
        lateness_ns: how far the watermark stays behind.
        once: whether a batch that was sent again is left out.
        by_source: see :class:`Clocks`.
    """
    found, seen = Truth(), set[tuple[str, int]]()
    clocks: dict[int, Clocks] = {}
    for record in log:
        body = json.loads(record.value)
        fates = found.fates.setdefault(record.partition, Counter())
        clock = clocks.setdefault(record.partition, Clocks(by_source=by_source))
        before, largest = clock.watermark_ns, -1
        if "producer" in body:
            batch = (body["producer"], body["seq"])
            found.batches[batch] += 1
            if once and batch in seen:
                fates["duplicate"] += body["count"]
                continue
            seen.add(batch)
            for lane, time_ns, value in samples(body):
                largest = max(largest, time_ns)
                late = time_ns - time_ns % sizes_ns[0] + sizes_ns[0] <= before
                fates["late" if late else "aggregated"] += 1
                for size_ns in () if late else sizes_ns:
                    pane = Pane(record.partition, size_ns, time_ns - time_ns % size_ns, lane)
                    found.values.setdefault(pane, []).append(value)
        else:
            largest = body.get("time_unix_nano", -1)  # of a tick; other records without a number carry no time
        clock.hear(body, min(largest, record.append_ns), lateness_ns, record.append_ns)
    return found


class Episode(NamedTuple):
    """One life of one alert; it begins with the end of the first pane that breached."""

    lane: str
    start_ns: int


def episodes(
    found: Truth, *, pane_ns: int, prefix: str, threshold: float, for_ns: int, keep_ns: int
) -> dict[Episode, bool]:
    """Episodes of lanes that begin with ``prefix`` whose maximum was above a threshold, and whether they fired.

    A pane without values counts as good. ``for_ns``: breached for so long (from the first breached pane) fires;
    ``keep_ns``: good for so long (from the first good pane) ends what has fired; what has not fired ends at once.
    """
    highest: dict[str, dict[int, float]] = {}
    for pane, values in found.values.items():
        if pane.size_ns == pane_ns and pane.lane.startswith(prefix):
            highest.setdefault(pane.lane, {})[pane.start_ns] = max(values)
    return {
        e: fired
        for lane, by_start in highest.items()
        for e, fired in _lane(lane, by_start, pane_ns, threshold, for_ns, keep_ns)
    }


def _lane(
    lane: str, highest: dict[int, float], pane_ns: int, threshold: float, for_ns: int, keep_ns: int
) -> Iterator[tuple[Episode, bool]]:
    since, good, fired = 0, 0, False
    last = max(highest)
    for start_ns in range(min(highest), last + keep_ns + 2 * pane_ns, pane_ns):
        if highest.get(start_ns, -math.inf) > threshold:
            since, good = since or start_ns, 0
            fired = fired or start_ns - since >= for_ns
        elif since and (not fired or start_ns - (good or start_ns) >= keep_ns):
            yield Episode(lane, since + pane_ns), fired
            since, good, fired = 0, 0, False
        elif since:
            good = good or start_ns
