"""Two results of a benchmark: what has become worse? Numbers in JSON, whatever their shape.

A figure is a number, or a list of numbers (repeated measurements of the same thing). Its name is the way to it. Which
direction is good is told by the name, as this project's names tell their unit, or by the caller. A single number counts
as changed beyond the tolerance; of repeated measurements chance must not explain it either (Mann and Whitney 1947,
two-sided, p below 0.01, medians for the size of the change).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median
from typing import Final, Literal

from scipy.stats import mannwhitneyu

from streams.errors import ConfigurationError

Verdict = Literal["worse", "same", "better", "undecided", "missing", "new", "not judged"]
P_LIMIT: Final = 0.01
LEAST_SAMPLES: Final = 5
"""Of repeated measurements; of fewer the medians are compared as single numbers."""
MOST_FIGURES: Final = 10_000
_NAMES: Final = ("name", "path", "case", "detector", "id")
"""Of an object in a list: the first of these that it has names it, else its place does."""
_LOWER: Final = (
    *("*_seconds", "*_ms", "*_us", "*_ns", "*_bytes", "*latency*", "*duration*", "*lag*", "*_p50", "*_p95", "*_p99"),
    *("*false*", "*lost*", "*doubled*", "*error*", "*failed*", "*missed*", "*stats.mean", "*stats.median", "*_kb"),
)
_HIGHER: Final = (
    "*per_*second*",
    "*_rate",
    "*ops",
    "*f1*",
    "*precision*",
    "*recall*",
    "*top1*",
    "*top3*",
    "*throughput*",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both results.

    Attributes:
        change_ratio: new over old less 1; NaN where it cannot be said (old is 0, or one is missing).
        p: chance that equal things measure so differently; NaN for single numbers.
        higher: whether more is better; None where nobody said.
    """

    name: str
    old: float
    new: float
    change_ratio: float
    p: float
    higher: bool | None
    verdict: Verdict


def figures(result: object, way: str = "") -> Iterator[tuple[str, tuple[float, ...]]]:
    """All figures of a result with their names; texts, truth values and numbers that are not finite are none."""
    if isinstance(result, Mapping):
        for key, value in result.items():
            yield from figures(value, f"{way}.{key}" if way else str(key))
    elif isinstance(result, list):
        if result and all(_number(value) for value in result):
            yield way, tuple(float(value) for value in result)
            return
        for place, value in enumerate(result):
            yield from figures(value, f"{way}[{_named(value, place)}]")
    elif _number(result):
        yield way, (float(result),)  # type: ignore[arg-type]


def compare_results(
    old: object, new: object, *, tolerance_ratio: float = 0.1, higher: Sequence[str] = (), lower: Sequence[str] = ()
) -> list[Change]:
    """Every figure of either result, in the order of the old one.

    Args:
        old: parsed JSON.
        new: the same of now.
        tolerance_ratio: what may change without being worse or better; above 0.
        higher: patterns (``*`` stands for anything) of names of which more is better, before what the names say.
        lower: the same for less.

    Raises:
        ConfigurationError: more than :data:`MOST_FIGURES`, or a tolerance that is none.
    """
    if not 0 < tolerance_ratio < math.inf:
        raise ConfigurationError(f"the tolerance is {tolerance_ratio:g}; write a number above 0, such as 0.1")
    before, after = dict(figures(old)), dict(figures(new))
    if len(before) + len(after) > MOST_FIGURES:
        raise ConfigurationError(f"{len(before) + len(after)} figures are too many; at most {MOST_FIGURES}")
    names = [*before, *(name for name in after if name not in before)]
    return [
        _change(name, before.get(name), after.get(name), tolerance_ratio, _direction(name, higher, lower))
        for name in names
    ]


def overall(changes: Sequence[Change]) -> Literal["pass", "fail", "inconclusive"]:
    """``fail`` where a figure is worse, ``inconclusive`` where one is missing or undecided, or none could be judged."""
    verdicts = {change.verdict for change in changes if change.higher is not None}
    if "worse" in verdicts:
        return "fail"
    return "pass" if verdicts & {"same", "better"} and not verdicts & {"missing", "undecided"} else "inconclusive"


def _change(
    name: str, old: tuple[float, ...] | None, new: tuple[float, ...] | None, tolerance: float, higher: bool | None
) -> Change:
    first, second = _middle(old), _middle(new)
    if old is None or new is None:
        return Change(name, first, second, math.nan, math.nan, higher, "new" if old is None else "missing")
    ratio = (second - first) / abs(first) if first else (0.0 if second == first else math.nan)
    p = float(mannwhitneyu(old, new).pvalue) if min(len(old), len(new)) >= LEAST_SAMPLES else math.nan
    return Change(name, first, second, ratio, p, higher, _verdict(first, second, ratio, p, tolerance, higher))


def _verdict(old: float, new: float, ratio: float, p: float, tolerance: float, higher: bool | None) -> Verdict:
    if higher is None:
        return "not judged"
    if abs(ratio) <= tolerance:
        return "same"
    if p >= P_LIMIT:
        return "undecided"
    return "better" if (new > old) == higher else "worse"


def _direction(name: str, higher: Sequence[str], lower: Sequence[str]) -> bool | None:
    for patterns, more in ((higher, True), (lower, False), (_HIGHER, True), (_LOWER, False)):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return more
    return None


def _middle(samples: tuple[float, ...] | None) -> float:
    return math.nan if samples is None else median(samples)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _named(value: object, place: int) -> str:
    if isinstance(value, Mapping):
        return next((str(value[name]) for name in _NAMES if name in value), str(place))
    return str(place)
