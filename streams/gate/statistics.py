"""How deployments went: how many, how they ended, how long they took, how long it took to repair those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.domain.deployment import Deployment, State
from streams.gate.lifecycle import OVER

_BAD: Final[frozenset[State]] = frozenset({"failed", "rollback_requested"})
_BEGUN: Final[frozenset[State]] = frozenset({"registered"})
_GOOD: Final[frozenset[State]] = frozenset({"succeeded", "rolled_back"})


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the deployments that were registered in a time. Ratios and times are None where nothing is known.

    Attributes:
        total: all; by_state: where they stand.
        success_ratio, failure_ratio, rollback_ratio: of those that are over (``streams.gate.lifecycle.OVER``).
        mean_duration_seconds: from registration to the first state that is over.
        change_failure_ratio: of those that are over, the ones that failed, or were to be rolled back, at any time.
        mean_restore_seconds: from the first failure or request to roll back to the next success or finished rollback.
    """

    total: int
    by_state: dict[str, int] = field(default_factory=dict)
    success_ratio: float | None = None
    failure_ratio: float | None = None
    rollback_ratio: float | None = None
    mean_duration_seconds: float | None = None
    change_failure_ratio: float | None = None
    mean_restore_seconds: float | None = None


def statistics(deployments: Sequence[Deployment]) -> Statistics:
    """Of all that are given."""
    over = [one for one in deployments if one.state in OVER]
    states = Counter(one.state for one in deployments)
    rolled_back = states["rolled_back"] + states["rollback_failed"]
    return Statistics(
        total=len(deployments),
        by_state=dict(sorted(states.items())),
        success_ratio=_ratio(states["succeeded"], len(over)),
        failure_ratio=_ratio(states["failed"], len(over)),
        rollback_ratio=_ratio(rolled_back, len(over)),
        mean_duration_seconds=_mean(_span(one, _BEGUN, OVER) for one in over),
        change_failure_ratio=_ratio(sum(any(s.state in _BAD for s in one.steps) for one in over), len(over)),
        mean_restore_seconds=_mean(_span(one, _BAD, _GOOD) for one in deployments),
    )


def _span(one: Deployment, begin: frozenset[State], end: frozenset[State]) -> float | None:
    """Seconds from the first step into one of some states to the next into one of others."""
    first = next((step.at_ns for step in one.steps if step.state in begin), None)
    if first is None:
        return None
    last = next((step.at_ns for step in one.steps if step.state in end and step.at_ns >= first), None)
    return None if last is None else (last - first) / 1e9


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(found: Iterable[float | None]) -> float | None:
    known = [seconds for seconds in found if seconds is not None]
    return sum(known) / len(known) if known else None
