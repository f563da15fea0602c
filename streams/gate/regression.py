"""Is the candidate worse than the baseline? Effect size and p-values from panes, not from single events.

Events of one pane are alike (same traffic, same neighbours), so the pane is the unit: each pane gives one difference
between the versions, and the spread of these differences between panes is the noise (cluster-robust, as in Liang and
Zeger 1986). For versions that run beside each other only panes in which both had traffic count, weighted by
``n_c * n_b / (n_c + n_b)`` (overlap weights: Li, Morgan, Zaslavsky 2018): what hits both versions at once, and a
candidate that gets more traffic in bad hours, cancel.

Percentiles are compared by exceedance: the baseline's weighted percentile q is a fixed mark, and each pane's difference
is the share of the candidate above it less the share of the baseline above it.

Two questions are asked, so that too little data is neither good nor bad:

* *worse*: can chance explain that the candidate is worse at all? A small p says no.
* *within*: can chance explain that it looks better than the tolerated limit? A small p says it is within tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from streams.gate.profile import QUANTILES, Comparison
from streams.gate.samples import Pane, Panes, above, density, observations, place_of, shifted, value_at


@dataclass(frozen=True, slots=True)
class Regression:
    """What a comparison found.

    Attributes:
        baseline, candidate: the statistic of each, over the panes that count.
        effect: how much worse the candidate is: a share of the baseline, for ratios a difference; negative is better.
        p_worse: chance that an equal candidate looks this bad.
        p_within: chance that a candidate at the tolerated limit looks this good.
        windows: panes that count.
        baseline_samples, candidate_samples: observations in them.
    """

    baseline: float
    candidate: float
    effect: float
    p_worse: float
    p_within: float
    windows: int
    baseline_samples: int
    candidate_samples: int


def compare(comparison: Comparison, baseline: Panes, candidate: Panes) -> Regression | None:
    """Candidate against baseline.

    Args:
        comparison: what is compared, and how: ``concurrent`` pairs panes by their start, ``pinned`` does not.
        baseline: panes of the version that is known.
        candidate: panes of the version that is judged.

    Returns:
        None where fewer than three panes can be compared: there is no spread to judge by.
    """
    if comparison.against == "concurrent":
        both = sorted(baseline.keys() & candidate.keys())
        baseline, candidate = {s: baseline[s] for s in both}, {s: candidate[s] for s in both}
    statistic = comparison.source.statistic
    weights = [
        np.array([pane.weight(statistic) for pane in panes.values()], dtype=np.float64)
        for panes in (baseline, candidate)
    ]
    if comparison.against == "concurrent":
        total = weights[0] + weights[1]
        joint = np.divide(weights[0] * weights[1], total, out=np.zeros_like(total), where=total > 0)
        weights = [joint, joint]
    counted = [int((w > 0).sum()) for w in weights]
    if min(counted) < 3:
        return None
    found = _quantile if statistic in QUANTILES else _mean
    values, marks, effect = found(comparison, list(baseline.values()), list(candidate.values()), weights)
    judge = _paired if comparison.against == "concurrent" else _apart
    return Regression(
        baseline=values[0],
        candidate=values[1],
        effect=effect,
        p_worse=1 - judge(marks[0], marks[1], weights),
        p_within=judge(marks[2], marks[3], weights),
        windows=min(counted),
        baseline_samples=observations(baseline, statistic),
        candidate_samples=observations(candidate, statistic),
    )


Marks = list[NDArray[np.float64]]
"""Per pane: baseline and candidate for *worse*, then for *within*; larger is worse."""


def _quantile(
    comparison: Comparison, baseline: Sequence[Pane], candidate: Sequence[Pane], weights: Sequence[NDArray[np.float64]]
) -> tuple[tuple[float, float], Marks, float]:
    quantile = QUANTILES[comparison.source.statistic]
    places = [
        place_of(density(panes, _per_observation(panes, weight)), quantile)
        for panes, weight in zip((baseline, candidate), weights, strict=True)
    ]
    mark = places[0]
    limit = shifted(mark, 1 + comparison.max_change)
    values = value_at(places[0]), value_at(places[1])
    marks = [_above(baseline, mark), _above(candidate, mark), _above(baseline, mark), _above(candidate, limit)]
    return values, marks, _share(values[1] - values[0], values[0])


def _per_observation(panes: Sequence[Pane], weight: NDArray[np.float64]) -> list[float]:
    return [float(w) / pane.count if pane.count else 0.0 for pane, w in zip(panes, weight, strict=True)]


def _above(panes: Sequence[Pane], place: float) -> NDArray[np.float64]:
    return np.array([above(pane, place) if pane.count else 0.0 for pane in panes])


def _mean(
    comparison: Comparison, baseline: Sequence[Pane], candidate: Sequence[Pane], weights: Sequence[NDArray[np.float64]]
) -> tuple[tuple[float, float], Marks, float]:
    """Means of panes, or their ratios; where higher is better the sign is turned, so that larger is worse."""
    statistic = comparison.source.statistic
    sign = 1.0 if comparison.direction == "lower" else -1.0
    levels = [
        np.array([sign * p.sum / p.weight(statistic) if p.weight(statistic) > 0 else 0.0 for p in panes])
        for panes in (baseline, candidate)
    ]
    old, new = (float(np.average(level, weights=weight)) for level, weight in zip(levels, weights, strict=True))
    tolerated = comparison.max_change if statistic == "ratio" else comparison.max_change * abs(old)
    effect = new - old if statistic == "ratio" else _share(new - old, abs(old))
    return (sign * old, sign * new), [levels[0], levels[1], levels[0] + tolerated, levels[1]], effect


def _share(difference: float, of: float) -> float:
    """Difference as a share; from nothing to something is infinitely much."""
    if of:
        return difference / of
    return float("inf") if difference > 0 else 0.0


def _paired(
    baseline: NDArray[np.float64], candidate: NDArray[np.float64], weights: Sequence[NDArray[np.float64]]
) -> float:
    """Probability, were there no difference, of a mean weighted difference this small or smaller (t over panes)."""
    counts = weights[0] > 0
    weight, difference = weights[0][counts], (candidate - baseline)[counts]
    mean, variance = _mean_variance(difference, weight)
    return _tail(mean, variance, len(weight) - 1)


def _apart(
    baseline: NDArray[np.float64], candidate: NDArray[np.float64], weights: Sequence[NDArray[np.float64]]
) -> float:
    """The same for panes of different times: Welch's t, with the variance of each weighted mean."""
    means, variances, sizes = [], [], []
    for level, weight in zip((baseline, candidate), weights, strict=True):
        mean, variance = _mean_variance(level[weight > 0], weight[weight > 0])
        means.append(mean)
        variances.append(variance)
        sizes.append(int((weight > 0).sum()))
    total = sum(variances)
    spread = sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    freedom = total**2 / spread if spread else float(min(sizes) - 1)
    return _tail(means[1] - means[0], total, freedom)


def _mean_variance(level: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Weighted mean and the variance of that mean, panes independent."""
    share = weight / weight.sum()
    mean = float((share * level).sum())
    n = len(level)
    return mean, float((share**2 * (level - mean) ** 2).sum()) * n / (n - 1)


def _tail(mean: float, variance: float, freedom: float) -> float:
    if variance <= 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return float(stdtr(freedom, mean / np.sqrt(variance)))
