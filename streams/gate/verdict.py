"""The verdict on a deployment: each gate with its evidence, and one word.

``pass`` only where every blocking gate shows that it is met; ``fail`` where one shows that it is not; everything else,
missing, stale or too little data included, is ``inconclusive`` and holds the deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from streams.domain.selector import OPERATORS
from streams.gate.profile import QUANTILES, Check, Comparison, Profile
from streams.gate.regression import Regression, compare
from streams.gate.samples import Panes, number, observations, since

Status = Literal["pass", "fail", "inconclusive"]
ACTIONS: Final[Mapping[str, str]] = {"pass": "promote", "fail": "roll back", "inconclusive": "hold"}


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate.

    Attributes:
        name, metric, statistic, unit: what was looked at.
        kind: ``check`` or ``comparison``.
        status: pass, fail or inconclusive.
        blocking: whether the verdict follows it.
        reason: why, in words with the figures.
        operator, threshold: what was asked (of a comparison: the tolerated change).
        value: the candidate's number; None where there was none.
        baseline: the other version's number.
        effect, p_value: of a comparison: how much worse, and how likely by chance.
        samples, baseline_samples, windows: how much was seen.
        window_seconds: how far back was looked.
    """

    name: str
    metric: str
    statistic: str
    unit: str
    kind: str
    status: Status
    blocking: bool
    reason: str
    operator: str
    threshold: float
    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    p_value: float | None = None
    samples: int = 0
    baseline_samples: int = 0
    windows: int = 0
    window_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON-able data; an infinite effect is None (its reason says so)."""
        body = asdict(self)
        return {k: None if isinstance(v, float) and v in (float("inf"), float("-inf")) else v for k, v in body.items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates of a profile.

    Attributes:
        profile: its name.
        status: pass, fail or inconclusive.
        gates: in the order of the profile.
        newest_ns: end of the newest window that was seen, 0 where none.
        age_seconds: how old that is; None where nothing was seen.
    """

    profile: str
    status: Status
    gates: tuple[GateResult, ...]
    newest_ns: int
    age_seconds: float | None

    @property
    def action(self) -> str:
        """What to do: promote, hold or roll back."""
        return ACTIONS[self.status]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Panes of one gate: of the candidate, of the version beside it, and of the pinned baseline (empty where none)."""

    candidate: Panes
    concurrent: Panes
    pinned: Panes


def judge(
    profile: Profile, evidence: Mapping[str, Evidence], newest_ns: int, now_ns: int, pane_seconds: float
) -> Verdict:
    """The verdict.

    Args:
        profile: what is asked.
        evidence: gate name -> panes; a gate without evidence is inconclusive.
        newest_ns: end of the newest closed window of the service, any version; 0 where there is none.
        now_ns: the present, for the age of the data.
        pane_seconds: size of a pane.
    """
    age = (now_ns - newest_ns) / 1e9 if newest_ns else None
    stale = _stale(profile, age)
    nothing = Evidence({}, {}, {})
    gates = [_check(c, evidence.get(c.name, nothing), newest_ns) for c in profile.checks]
    share = max(len(profile.comparisons), 1)
    gates += [_comparison(c, evidence.get(c.name, nothing), newest_ns, share) for c in profile.comparisons]
    if stale:
        gates = [replace(gate, status="inconclusive", reason=stale) for gate in gates]
    return Verdict(profile.name, _overall(gates), tuple(gates), newest_ns, age)


def _stale(profile: Profile, age: float | None) -> str:
    if age is None:
        return "no data: no closed window of this service is known"
    if age > profile.max_age_seconds:
        return f"stale: the newest window ended {age:.0f} s ago, allowed are {profile.max_age_seconds:.0f} s"
    return ""


def _overall(gates: Sequence[GateResult]) -> Status:
    blocking = {gate.status for gate in gates if gate.blocking}
    if "fail" in blocking:
        return "fail"
    return "inconclusive" if "inconclusive" in blocking else "pass"


def _check(check: Check, evidence: Evidence, newest_ns: int) -> GateResult:
    first_ns = newest_ns - round(check.window_seconds * 1e9)
    panes = since(evidence.candidate, first_ns)
    samples, value = _number(check, panes)
    result = GateResult(
        name=check.name,
        metric=check.source.selectors[0].metric,
        statistic=check.source.statistic,
        unit=check.unit,
        kind="check",
        status="inconclusive",
        blocking=check.blocking,
        reason=f"{samples} of at least {check.min_samples} samples in {check.window_seconds:.0f} s",
        operator=check.op,
        threshold=check.threshold,
        value=value,
        samples=samples,
        windows=len(panes),
        window_seconds=check.window_seconds,
    )
    if value is None or samples < check.min_samples:
        return result
    text = f"{check.source.statistic} {value:.4g} {check.unit}, asked {check.op} {check.threshold:g}"
    if OPERATORS[check.op](value, check.threshold):
        return replace(result, status="pass", reason=text)
    beside_samples, beside = _number(check, since(evidence.concurrent, first_ns))
    if beside is None or beside_samples < check.min_samples or OPERATORS[check.op](beside, check.threshold):
        return replace(result, status="fail", reason=text, baseline=beside)
    reason = f"{text}; the version beside it breaks the limit too ({beside:.4g}): not the candidate's doing alone"
    return replace(result, reason=reason, baseline=beside)


def _number(check: Check, panes: Panes) -> tuple[int, float | None]:
    statistic = check.source.statistic
    return observations(panes, statistic), number(panes, statistic, QUANTILES.get(statistic, 0.0))


def _comparison(comparison: Comparison, evidence: Evidence, newest_ns: int, share: int) -> GateResult:
    first_ns = newest_ns - round(comparison.window_seconds * 1e9)
    concurrent = comparison.against == "concurrent"
    baseline = since(evidence.concurrent, first_ns) if concurrent else evidence.pinned
    found = compare(comparison, baseline, since(evidence.candidate, first_ns))
    result = GateResult(
        name=comparison.name,
        metric=comparison.source.selectors[0].metric,
        statistic=comparison.source.statistic,
        unit=comparison.unit,
        kind="comparison",
        status="inconclusive",
        blocking=comparison.blocking,
        reason=f"fewer than three windows with {'both versions' if concurrent else 'data and a pinned baseline'}",
        operator="<=",
        threshold=comparison.max_change,
        window_seconds=comparison.window_seconds,
    )
    return result if found is None else _judged(result, comparison, found, share)


def _judged(result: GateResult, comparison: Comparison, found: Regression, share: int) -> GateResult:
    limit = comparison.p_value / share  # Bonferroni: all comparisons of the profile together stay within p_value
    worse = found.p_worse <= limit and found.effect > comparison.max_change
    status: Status = "fail" if worse else "pass" if found.p_within <= comparison.p_value else "inconclusive"
    missing = _missing(comparison, found)
    change = "a difference of" if comparison.source.statistic == "ratio" else "a change of"
    text = (
        f"{comparison.source.statistic} {found.candidate:.4g} against {found.baseline:.4g} {comparison.unit}: {change} "
        f"{found.effect:+.3g} (tolerated {comparison.max_change:g}), chance of an equal version {found.p_worse:.2g}, "
        f"of one at the limit {found.p_within:.2g}"
    )
    return replace(
        result,
        status="inconclusive" if missing else status,
        reason=missing or text,
        value=found.candidate,
        baseline=found.baseline,
        effect=found.effect,
        p_value=found.p_worse,
        samples=found.candidate_samples,
        baseline_samples=found.baseline_samples,
        windows=found.windows,
    )


def _missing(comparison: Comparison, found: Regression) -> str:
    if found.windows < comparison.min_windows:
        return f"{found.windows} of at least {comparison.min_windows} windows"
    least = min(found.candidate_samples, found.baseline_samples)
    return f"{least} of at least {comparison.min_samples} samples" if least < comparison.min_samples else ""
