"""Closed windows of one service, kept as panes by version: what the gates of a profile look at.

Bounded: :data:`MAX_PANES` panes of a source and version (the oldest go), :data:`MAX_VERSIONS` versions (one that is new
then is left out and named in ``left_out``), :data:`MAX_SEEN` windows that are known to have come (the oldest are
forgotten; only a copy of one of those would count twice).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from streams.domain.window import WindowBatch
from streams.gate.profile import Profile, Source
from streams.gate.samples import MAX_PANES, Pane, Panes, add_row
from streams.gate.verdict import Evidence, Verdict, judge

MAX_VERSIONS: Final = 50
MAX_SEEN: Final = 200_000
SERVICE: Final = "service.name"
VERSION: Final = "service.version"
ENVIRONMENT: Final = "environment"


@dataclass
class GateBook:
    """Args: the profile, the service, the environment ("" = any), the size of a pane in seconds.

    Attributes:
        newest_ns: end of the newest window of the service, any version; 0 where none came.
        left_out: versions beyond the bound.
        pinned: gate -> panes of the pinned baseline.
    """

    profile: Profile
    service: str
    environment: str = ""
    pane_seconds: float = 10.0
    newest_ns: int = 0
    left_out: set[str] = field(default_factory=set)
    pinned: Mapping[str, Panes] = field(default_factory=dict)
    _seen: dict[tuple[str, int, int, int], None] = field(default_factory=dict)
    _panes: dict[str, dict[str, dict[int, Pane]]] = field(default_factory=dict)

    def add(self, batch: WindowBatch) -> None:
        """A closed window of any service and size; others than ours, and copies, change nothing."""
        key = (batch.topic, batch.partition, batch.start_ns, batch.chunk)
        if batch.size_seconds != self.pane_seconds or key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        for row, series in enumerate(batch.series):
            ours = series.label(SERVICE) == self.service
            if ours and (not self.environment or series.label(ENVIRONMENT) == self.environment):
                self._row(batch, row, series.label(VERSION))

    def _row(self, batch: WindowBatch, row: int, version: str) -> None:
        self.newest_ns = max(self.newest_ns, batch.end_ns)
        gates = self._panes.get(version)
        if gates is None:
            if len(self._panes) >= MAX_VERSIONS:
                self.left_out.add(version)
                return
            gates = self._panes[version] = {gate.name: {} for gate in self.profile.gates}
        for gate in self.profile.gates:
            _count(gates[gate.name], gate.source, batch, row)

    def windows(self, version: str) -> int:
        """How many panes there are of a version."""
        return len({start for panes in self._panes.get(version, {}).values() for start in panes})

    def beside(self, version: str) -> str:
        """The other version with the most panes, "" where there is none."""
        others = sorted((-self.windows(other), other) for other in self._panes if other not in ("", version))
        return others[0][1] if others else ""

    def evidence(self, version: str, baseline: str) -> dict[str, Evidence]:
        """Panes of the candidate, of the version beside it and of what is pinned, by gate."""
        candidate, concurrent = self._panes.get(version, {}), self._panes.get(baseline, {}) if baseline else {}
        return {
            g.name: Evidence(candidate.get(g.name, {}), concurrent.get(g.name, {}), self.pinned.get(g.name, {}))
            for g in self.profile.gates
        }

    def verdict(self, version: str, baseline: str, now_ns: int, look: int = 0) -> Verdict:
        """The verdict now.

        Args:
            version: of the candidate.
            baseline: the version it is held against; "" = the one with the most windows beside it.
            now_ns: the present, for the age of the data.
            look: 0 for a single look; the k-th of many gets the share 1 / (k (k + 1)) of each comparison's p_value, so
                that looking again and again does not make chance a failure (the shares add up to at most 1).
        """
        profile = self.profile if look == 0 else _share(self.profile, look)
        found = self.evidence(version, baseline or self.beside(version))
        return judge(profile, found, self.newest_ns, now_ns, self.pane_seconds)


def _share(profile: Profile, look: int) -> Profile:
    parts = tuple(replace(c, p_value=c.p_value / (look * (look + 1))) for c in profile.comparisons)
    return replace(profile, comparisons=parts)


def _count(panes: dict[int, Pane], source: Source, batch: WindowBatch, row: int) -> None:
    series = batch.series[row]
    counts = any(selector.matches(series) for selector in source.selectors)
    below = any(selector.matches(series) for selector in source.denominator)
    if not counts and not below:
        return
    pane = panes.setdefault(batch.start_ns, Pane())
    if counts:
        add_row(pane, batch, row)
    if below:
        pane.denominator += float(batch.sum[row])
    if len(panes) > MAX_PANES:
        del panes[min(panes)]
