"""Rules as values: what is looked at, when it is bad, who it belongs to, what it tells a person.

Four kinds share one lifecycle, because each gives a number per group that levels are held against:

* ``threshold``: a statistic of a metric's windows, or a ratio of sums;
* ``absence``: seconds since an agent was last seen;
* ``anomaly``: how many of the last n windows of a series a detector found strange;
* ``novelty``: 1 in the window in which a label has a value that was never seen before, else 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

import orjson

from streams.correlate.weights import Weights
from streams.domain.capacity import Resource
from streams.domain.ratio import Ratio
from streams.domain.selector import OPERATORS, Selector
from streams.domain.vector import Vector

RuleKind = Literal["threshold", "absence", "anomaly", "novelty"]
STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99", "max", "min", "sum", "rate", "growth_per_minute", "ratio")
SIDES: Final = ("", "above", "below")
UNITS: Final = ("1", "s", "By", "By/min", "ratio", "1/s", "nat", "windows")


_LATER: Final = ("side", "label", "known_by", "learn_seconds")


@dataclass(frozen=True, slots=True)
class Level:
    """One limit.

    Attributes:
        severity: critical, high, warning or info.
        op: ``>``, ``>=``, ``<`` or ``<=``: the value is bad when ``value op threshold``.
        threshold: in the rule's unit.
        clear: the value is good again when not ``value op clear`` (hysteresis).
        for_seconds: event time for which the value must be bad before the level is reached.
    """

    severity: str
    op: str
    threshold: float
    clear: float
    for_seconds: float

    def breached(self, value: float) -> bool:
        """Bad enough to begin."""
        return OPERATORS[self.op](value, self.threshold)

    def holds(self, value: float) -> bool:
        """Not yet good enough to end."""
        return OPERATORS[self.op](value, self.clear)


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert.

    Attributes:
        name: the ``alertname``.
        kind: see the module.
        unit: of values and thresholds, for annotations.
        statistic: one of :data:`STATISTICS` (threshold rules).
        selectors: what the statistic is of; for a ratio its numerator. Anomaly rules: the series it takes, none = all
            that no other anomaly rule takes.
        denominator: for a ratio.
        window_seconds: the statistic covers this much event time, half-open, ending at the newest window.
        min_count: fewer events (for a ratio: a smaller denominator) in the window say nothing.
        group_by: identity labels; one alert per distinct set of their values.
        drop_labels: anomaly rules identify by all labels of the series except these.
        levels: limits; the worst one reached is the severity.
        keep_firing_seconds: a level that was reached stays this long after the value became good.
        confirm: (k, n) of an anomaly rule; k is also the threshold of its level.
        forget_seconds: absence: an agent that was silent for this long is no longer expected.
        stopped_by: absence: an agent that reported this has stopped on purpose.
        summary, description: templates (``streams.correlate.template``).
        runbook: path in the repository.
        side: anomaly: only values above, or below, what was expected; "" = both.
        label: novelty: the label whose values are remembered.
        known_by: novelty: values are remembered per set of these labels.
        learn_seconds: novelty: so long after its first window a memory says nothing. ``forget_seconds``: a value that
            was not seen for so long is new again.
    """

    name: str
    kind: RuleKind
    unit: str
    statistic: str
    selectors: tuple[Selector, ...]
    denominator: tuple[Selector, ...]
    window_seconds: float
    min_count: int
    group_by: tuple[str, ...]
    drop_labels: tuple[str, ...]
    levels: tuple[Level, ...]
    keep_firing_seconds: float
    confirm: tuple[int, int]
    forget_seconds: float
    stopped_by: tuple[Selector, ...]
    summary: str
    description: str
    runbook: str
    side: str = ""
    label: str = ""
    known_by: tuple[str, ...] = ()
    learn_seconds: float = 0.0

    @property
    def hash(self) -> str:
        """16 hex digits over everything that changes the meaning of kept state (texts do not).

        Fields that came later count only where they are set: an upgrade must not end the alerts of other rules.
        """
        fields = asdict(self)
        del fields["summary"], fields["description"], fields["runbook"]
        for name in _LATER:
            if not fields[name]:
                del fields[name]
        return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal for a figure and where it is not, for gates and dashboards.

    Attributes:
        name: of the figure.
        unit: of the three numbers.
        direction: ``higher`` or ``lower``: which is better.
        baseline, warning, critical: in that order of badness.
        metric: the metric it is computed from, "" where several.
    """

    name: str
    unit: str
    direction: str
    baseline: float
    warning: float
    critical: float
    metric: str = ""

    def judged(self, value: float) -> Literal["ok", "warning", "critical"]:
        """Where a value stands; a limit that is reached counts."""
        sign = 1.0 if self.direction == "lower" else -1.0
        if sign * value >= sign * self.critical:
            return "critical"
        return "warning" if sign * value >= sign * self.warning else "ok"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Everything in ``monitoring/thresholds.yml``."""

    rules: tuple[Rule, ...]
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    capacity: tuple[Resource, ...] = ()
    weights: Weights = field(default_factory=Weights)
    bands: tuple[Selector, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    vectors: tuple[Vector, ...] = ()


def shortened(rule: Rule, ratio: float) -> Rule:
    """The same rule with its waiting times multiplied by ``ratio`` (a demonstration has no ten minutes).

    Windows and limits stay as they are; ``for`` and keep-firing shrink. The ``for`` of a ratio does not shrink below
    its window: one burst stays in the window that long, and would carry the alert alone.
    """
    least = rule.window_seconds if rule.statistic == "ratio" else 0.0
    levels = tuple(
        replace(level, for_seconds=min(level.for_seconds, max(level.for_seconds * ratio, least)))
        for level in rule.levels
    )
    keep_seconds, learn_seconds = rule.keep_firing_seconds * ratio, rule.learn_seconds * ratio
    return replace(rule, levels=levels, keep_firing_seconds=keep_seconds, learn_seconds=learn_seconds)
