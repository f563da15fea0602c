"""What the gates last said of a deployment, as figures: for dashboards, which cannot ask the API."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from streams.domain.deployment import Deployment

MAX_GATES: Final = 50
"""Gates kept of one verdict: the first of its profile. Further ones are on the API only."""
STATUSES: Final[Mapping[str, int]] = {"fail": -1, "inconclusive": 0, "pass": 1}
_FIGURES: Final = ("value", "baseline", "effect", "p_value")


class JudgedGate(NamedTuple):
    """One gate of a verdict.

    Attributes:
        name: of the gate in its profile.
        unit: of value and baseline.
        blocking: whether the verdict follows it.
        status: -1 broken, 0 not shown either way, 1 met.
        value: of the candidate; None where there was none.
        baseline: of the version it was held against, None as above.
        effect: how much worse the candidate is, as a share of the baseline (of ratios: the difference); None for a
            check, and where it cannot be said.
        p_value: chance that equal versions differ so much, 0..1; None as above.
    """

    name: str
    unit: str
    blocking: bool
    status: int
    value: float | None
    baseline: float | None
    effect: float | None
    p_value: float | None


class Judged(NamedTuple):
    """A verdict: of which profile, what it says (as :attr:`JudgedGate.status`), when, and gate by gate."""

    profile: str
    status: int
    at_ns: int
    gates: tuple[JudgedGate, ...]


class DeploymentVerdict(NamedTuple):
    """The newest deployment of a service in an environment with its last verdict."""

    environment: str
    service: str
    version: str
    judged: Judged


def judged(deployment: Deployment) -> Judged | None:
    """The last verdict of a deployment; None before the first, and where it is none that this code knows.

    A gate that is not readable is left out: the record comes from a topic that others may write.
    """
    verdict = deployment.verdict or {}
    status = STATUSES.get(str(verdict.get("verdict")))
    if status is None:
        return None
    rows = verdict.get("gates")
    gates = [_gate(row) for row in rows[:MAX_GATES]] if isinstance(rows, list) else []
    known = {gate.name: gate for gate in gates if gate is not None}
    return Judged(deployment.profile, status, deployment.updated_ns, tuple(known.values()))


def _gate(row: object) -> JudgedGate | None:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        return None
    status = STATUSES.get(str(row.get("status")))
    if status is None:
        return None
    figures = (_figure(row.get(name)) for name in _FIGURES)
    return JudgedGate(row["name"], str(row.get("unit", "")), bool(row.get("blocking")), status, *figures)


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def dump(found: Judged | None) -> list[Any] | None:
    """As JSON-able data."""
    return None if found is None else [*found[:3], [list(gate) for gate in found.gates]]


def load(row: list[Any] | None) -> Judged | None:
    """The inverse of :func:`dump`."""
    return None if row is None else Judged(row[0], row[1], row[2], tuple(JudgedGate(*gate) for gate in row[3]))
