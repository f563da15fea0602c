"""What is used of resources, step by step, and how long it lasts: one forecaster per resource and group.

A step is a closed window of one size. Each record of windows says what its series use (:class:`Users`); the parts of a
step meet in one place, because a limit of the whole system is held against the sum of all partitions
(:class:`CapacityOperator`).
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.detect.forecast import FORMAT_VERSION, Forecaster
from streams.detect.snapshot import attempted
from streams.domain.capacity import Capacity, Labels, Outlook, Resource, Use, Uses
from streams.domain.recent import Recent
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged, StateVersionError

MAX_GROUPS: Final = 2_000
MAX_AGE_STEPS: Final = 288
"""A group without use for this long (a day of steps of five minutes) is forgotten."""
SHOWN_STEPS: Final = 3
"""A group without use for this long is not shown."""
GRACE_NS: Final = 60_000_000_000
PATIENCE_STEPS: Final = 3
Key = tuple[str, Labels]
Clock = tuple[int, dict[str, tuple[int, int]], dict[int, int]]


class Users:
    """Which series use which resources; makes one :class:`Uses` of a record of windows."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._by_metric: dict[str, list[Resource]] = {}
        for resource in resources:
            self._by_metric.setdefault(resource.selector.metric, []).append(resource)
        self._bound: Recent[Sequence[Series], list[tuple[int, Resource, Labels]]] = Recent(self._bind)

    def _bind(self, series: Sequence[Series]) -> list[tuple[int, Resource, Labels]]:
        return [
            (row, resource, tuple((label, one.label(label)) for label in resource.group_by))
            for row, one in enumerate(series)
            for resource in self._by_metric.get(one.name, ())
            if resource.selector.matches(one)
        ]

    def of(self, batch: WindowBatch) -> Uses | None:
        """What the series of a batch use; None where they use nothing that is counted."""
        found: dict[Key, float] = {}
        for row, resource, labels in self._bound.of(batch.series):
            key = (resource.name, labels)
            if resource.statistic == "max":
                found[key] = max(float(batch.maximum[row]), found.get(key, -math.inf))
            else:
                parts = 1 if resource.statistic == "increase" else int(batch.count[row])
                found[key] = found.get(key, 0.0) + float(batch.sum[row]) / parts
        if not found:
            return None
        source = f"{batch.topic}/{batch.partition}/{batch.chunk}"
        uses = [Use(name, labels, value) for (name, labels), value in sorted(found.items())]
        return Uses(source, batch.start_ns, batch.end_ns, uses)


@dataclass(slots=True)
class Group:
    """One resource in one group.

    Attributes:
        parts: start of a step that is not complete -> source -> what it uses.
        last_ns: start of the newest complete step.
        used: in that step; of a budget since the period began.
    """

    resource: Resource
    labels: Labels
    forecaster: Forecaster
    parts: dict[int, dict[str, float]] = field(default_factory=dict)
    last_ns: int = 0
    used: float = 0.0
    _outlook: tuple[int, Outlook | None] = (-1, None)

    def close(self, start_ns: int) -> None:
        """All parts of the step are there."""
        parts = self.parts.pop(start_ns).values()
        total = max(parts) if self.resource.statistic == "max" else math.fsum(parts)
        period_ns = round(self.resource.period_seconds * 1e9)
        if period_ns:
            if start_ns // period_ns == self.last_ns // period_ns:
                total += self.used
            else:  # a budget begins anew: what was spent before says nothing of the line to come
                self.forecaster = Forecaster(self.forecaster.step_ns)
        self.used, self.last_ns = total, start_ns
        self.forecaster.learn(total, start_ns)

    def capacity(self) -> Capacity:
        """As of the newest complete step; worked out once per step."""
        if self._outlook[0] != self.last_ns:
            self._outlook = (self.last_ns, self._foretell())
        return Capacity(self.resource.name, self.labels, self.used / self.resource.limit, self._outlook[1])

    def _foretell(self) -> Outlook | None:
        found = self.forecaster.outlook(self.resource.limit)
        period_seconds = self.resource.period_seconds
        if found is None or not period_seconds:
            return found
        left = period_seconds - (self.last_ns + self.forecaster.step_ns) / 1e9 % period_seconds
        return Outlook(*(seconds if seconds < left else math.inf for seconds in found))


class CapacityOperator:
    """Adds the parts of each step and forecasts: a fold over ``agents.capacity``.

    After an outage one partition is read hours ahead of another, so it is the log's own time that says whether a part
    may still come: a step is complete when its first part lies :data:`GRACE_NS` back in the log (a step, if that is
    less) and each source that has spoken within :data:`PATIENCE_STEPS` has gone beyond it or said its part. What comes
    later still is counted. A repeated part says the same again.

    Bounded: ``max_groups`` groups (7 kB each), the one without use for longest leaves for a new one unless it is in
    use (then the new one is refused); none is kept, and no step is left open, beyond :data:`MAX_AGE_STEPS`.

    Attributes:
        fates: uses by what became of them: ``applied``, ``late``, ``refused``, ``unknown`` (of a resource that is not
            in the file any more, or of another size of step).
        completed: how often steps were completed since this start.
    """

    def __init__(self, resources: Sequence[Resource], step_ns: int, max_groups: int = MAX_GROUPS) -> None:
        self.step_ns, self.max_groups = step_ns, max_groups
        self.fates: Counter[str] = Counter()
        self.completed = 0
        self._resources = {resource.name: resource for resource in resources}
        self._groups: OrderedDict[Key, Group] = OrderedDict()
        self._sources: dict[str, tuple[int, int]] = {}
        self._opened: dict[int, int] = {}
        self._complete_ns = 0

    def __len__(self) -> int:
        return len(self._groups)

    def apply(self, uses: Uses, appended_ns: int) -> None:
        """Take in a part; completes the steps that waited for it.

        Args:
            uses: the part.
            appended_ns: when the log took it.
        """
        if uses.end_ns - uses.start_ns != self.step_ns:
            self.fates["unknown"] += len(uses.uses)
            return
        for use in uses.uses:
            self.fates[self._take(use, uses.source, uses.start_ns)] += 1
        newest_ns = max(uses.start_ns, self._sources.get(uses.source, (0, 0))[0])
        self._sources[uses.source] = newest_ns, appended_ns
        if uses.start_ns > self._complete_ns:
            self._opened.setdefault(uses.start_ns, appended_ns)
        complete_ns = self._completed_by(appended_ns)
        if complete_ns > self._complete_ns:
            self._complete_ns = complete_ns
            self._complete()

    def _completed_by(self, appended_ns: int) -> int:
        """Start of the newest step for which nothing more is waited for."""
        silent_ns = appended_ns - max(GRACE_NS, PATIENCE_STEPS * self.step_ns)
        self._sources = {name: known for name, known in self._sources.items() if known[1] > silent_ns}
        settled_ns = appended_ns - min(GRACE_NS, self.step_ns)
        settled = max((start for start, first_ns in self._opened.items() if first_ns <= settled_ns), default=0)
        spoken = min(start for start, _ in self._sources.values())
        oldest = max(self._opened, default=0) - MAX_AGE_STEPS * self.step_ns
        return max(min(settled, spoken), oldest)

    def _take(self, use: Use, source: str, start_ns: int) -> str:
        resource = self._resources.get(use.resource)
        if resource is None:
            return "unknown"
        if start_ns <= self._complete_ns:
            return "late"
        group = self._group(resource, use.labels)
        if group is None:
            return "refused"
        group.parts.setdefault(start_ns, {})[source] = use.value
        return "applied"

    def _group(self, resource: Resource, labels: Labels) -> Group | None:
        key = (resource.name, labels)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self.max_groups and not self._make_room():
                return None
            group = self._groups[key] = Group(resource, labels, Forecaster(self.step_ns))
        self._groups.move_to_end(key)
        return group

    def _make_room(self) -> bool:
        key, oldest = next(iter(self._groups.items()))
        if oldest.parts or self._shown(oldest):
            return False
        del self._groups[key]
        return True

    def _complete(self) -> None:
        self.completed += 1
        self._opened = {start: first_ns for start, first_ns in self._opened.items() if start > self._complete_ns}
        for key, group in list(self._groups.items()):
            for start_ns in sorted(start for start in group.parts if start <= self._complete_ns):
                group.close(start_ns)
            if not group.parts and group.last_ns < self._complete_ns - MAX_AGE_STEPS * self.step_ns:
                del self._groups[key]

    def _shown(self, group: Group) -> bool:
        return group.last_ns > self._complete_ns - SHOWN_STEPS * self.step_ns

    def capacities(self) -> list[Capacity]:
        """Every group that is in use."""
        return [group.capacity() for group in self._groups.values() if self._shown(group)]

    def snapshot(self) -> bytes:
        """Everything that decides later forecasts, as JSON (UTF-8)."""
        groups = [
            [g.resource.name, g.labels, list(g.parts.items()), g.last_ns, g.used, g.forecaster.dump()]
            for g in self._groups.values()
        ]
        clock_ns = [self._complete_ns, self._sources, list(self._opened.items())]
        body = {"v": FORMAT_VERSION, "step_ns": self.step_ns, "clock_ns": clock_ns, "groups": groups}
        return orjson.dumps(body)

    def restore(self, data: bytes) -> str:
        """Replace the state by a snapshot's; groups of resources that are gone are left out.

        Returns:
            Why it was not used (damaged, another size of step), "" where it was; then the operator is empty.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._groups.clear()
        self._complete_ns, self._sources, self._opened = 0, {}, {}
        found, reason = attempted(lambda: self._read(data))
        if found is not None:
            self._groups.update(found[0])
            self._complete_ns, self._sources, self._opened = found[1]
        return reason

    def _read(self, data: bytes) -> tuple[dict[Key, Group], Clock]:
        body = orjson.loads(data)
        if body["v"] > FORMAT_VERSION:
            raise StateVersionError(f"capacity has format {body['v']}, this version reads up to {FORMAT_VERSION}")
        if body["step_ns"] != self.step_ns:
            raise StateDamaged(f"its steps are of {body['step_ns']} ns, ours of {self.step_ns} ns")
        complete_ns, sources, opened = body["clock_ns"]
        known = {name: (int(start), int(said_ns)) for name, (start, said_ns) in sources.items()}
        clock = int(complete_ns), known, {int(start): int(first_ns) for start, first_ns in opened}
        return dict(self._loaded(body["groups"])), clock

    def _loaded(self, rows: Sequence[Any]) -> Iterator[tuple[Key, Group]]:
        for name, labels, parts, last_ns, used, state in rows:
            resource = self._resources.get(name)
            if resource is not None and _fits(resource, labels):
                key = (name, tuple((label, value) for label, value in labels))
                open_steps = {int(start_ns): dict(found) for start_ns, found in parts}
                yield key, Group(resource, key[1], Forecaster.load(state), open_steps, int(last_ns), float(used))


def _fits(resource: Resource, labels: Sequence[Sequence[str]]) -> bool:
    """Whether a group was made by the labels that the resource is grouped by now."""
    return tuple(label for label, _ in labels) == resource.group_by
