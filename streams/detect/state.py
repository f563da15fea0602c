"""A detect operator's snapshot: JSON with its format, River version and specification in front.

Never pickle: what another party could have written is read as data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import orjson

from streams.detect import registry
from streams.detect.protocol import FORMAT_VERSION, Detector
from streams.domain.anomaly import Finding
from streams.domain.series import Series
from streams.errors import ConfigurationError, StateDamaged, StateVersionError

RIVER_VERSION: Final = version("river")
LARGEST_N: Final = 100
MOST_PAST: Final = 8
"""Findings kept per series, to name those that were like a new one; the oldest leaves."""


@dataclass(frozen=True, slots=True)
class Specification:
    """What a snapshot must agree with to be used (see ``DetectOperator`` for the fields)."""

    detector: str
    threshold: float
    warmup_windows: int
    window_seconds: float
    confirm: tuple[int, int]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigurationError: names the field and what is allowed.
        """
        registry.make(self.detector, max(self.warmup_windows, 20))
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigurationError(f"detect threshold {self.threshold} must be in [0, 1]")
        if self.warmup_windows < 20:
            raise ConfigurationError(f"detect warmup_windows {self.warmup_windows} must be at least 20")
        if not self.window_seconds > 0:
            raise ConfigurationError(f"detect window_seconds {self.window_seconds} must be positive")
        k, n = self.confirm
        if not 1 <= k <= n <= LARGEST_N:
            raise ConfigurationError(f"detect confirm {self.confirm} must be (k, n) with 1 <= k <= n <= {LARGEST_N}")

    @property
    def hash(self) -> str:
        """16 hex digits over what changes the meaning of a detector's state: not threshold and confirmation."""
        fields = asdict(self)
        del fields["threshold"], fields["confirm"]
        return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class Restored(NamedTuple):
    """What ``restore`` did: how many series it brought back; why none, where the snapshot was not used."""

    series: int
    reason: str


@dataclass(slots=True)
class Memory:
    """What is remembered of one series beside its detectors.

    ``recent`` has one bit per window, the newest lowest: whether a feature passed the threshold. ``past`` holds the
    last findings with their feature, oldest first.
    """

    series: Series
    names: tuple[str, ...]
    recent: int = 0
    past: list[tuple[str, Finding]] = field(default_factory=list)

    def confirm(self, passed: bool, gap_windows: int, confirm: tuple[int, int]) -> bool:
        """True when this window passed and k of the last n did; windows without data did not."""
        k, n = confirm
        self.recent = (self.recent << min(gap_windows, n) | passed) & ((1 << n) - 1)
        return passed and self.recent.bit_count() >= k


class Entry(NamedTuple):
    """All that is kept of one series: the start of its newest window, and detectors of one kind, one per feature."""

    memory: Memory
    last_start_ns: int
    detector: str
    detectors: tuple[Detector, ...]


def encode(specification: Specification, newest_ns: int, entries: Iterable[Entry]) -> bytes:
    """Snapshot of an operator."""
    body = {
        "v": FORMAT_VERSION,
        "river": RIVER_VERSION,
        "specification": specification.hash,
        "newest_ns": newest_ns,
        "series": [_entry_object(entry) for entry in entries],
    }
    return orjson.dumps(body)


def decode(specification: Specification, data: bytes) -> tuple[int, list[Entry]]:
    """The inverse of :func:`encode`: (newest window start, entries, least recently seen first).

    Raises:
        StateVersionError: of a format newer than this code's.
        StateError: not a snapshot, damaged, or of an older format, another River version or specification.
    """
    try:
        body = orjson.loads(data)
        found = {"v": body["v"], "river": body["river"], "specification": body["specification"]}
    except (ValueError, KeyError, TypeError) as error:
        raise StateDamaged(f"not a snapshot of a detect operator: {error!r}") from error
    if isinstance(found["v"], int) and found["v"] > FORMAT_VERSION:
        raise StateVersionError(f"detector state has format {found['v']}, this version reads up to {FORMAT_VERSION}")
    wanted = {"v": FORMAT_VERSION, "river": RIVER_VERSION, "specification": specification.hash}
    for name, value in wanted.items():
        if found[name] != value:
            raise StateDamaged(f"the snapshot's {name} is {found[name]!r}, ours is {value!r}")
    try:
        return int(body["newest_ns"]), [_entry(specification, item) for item in body["series"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StateDamaged(f"the snapshot is damaged: {error!r}") from error


def _entry_object(entry: Entry) -> dict[str, Any]:
    memory, series = entry.memory, entry.memory.series
    return {
        "series": [series.name, series.unit, series.kind, series.labels],
        "last_start_ns": entry.last_start_ns,
        "recent": f"{memory.recent:x}",
        "past": [[name, past.start_ns, past.value, past.score] for name, past in memory.past],
        "features": {name: detector.snapshot() for name, detector in zip(memory.names, entry.detectors, strict=True)},
    }


def _entry(specification: Specification, item: dict[str, Any]) -> Entry:
    name, unit, kind, labels = item["series"]
    series = Series(name, unit, kind, tuple((key, value) for key, value in labels))
    kinds = {state["detector"] for state in item["features"].values()}
    if len(kinds) != 1 or not kinds <= {specification.detector, registry.SMALL}:
        raise StateDamaged(f"a series is judged by {sorted(kinds)}, not by one of ours")
    (kind,) = kinds
    detectors = []
    for state in item["features"].values():
        detector = registry.make(kind, specification.warmup_windows)
        detector.restore(state)
        detectors.append(detector)
    past = [(name, Finding(*finding)) for name, *finding in item.get("past", ())]
    memory = Memory(series, tuple(item["features"]), int(item["recent"], 16), past)
    return Entry(memory, int(item["last_start_ns"]), kind, tuple(detectors))
