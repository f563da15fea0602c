"""Gate profiles as values, and ``monitoring/gates.yml`` read into them.

A *check* holds one number of the candidate version against a limit. A *comparison* holds it against another version:
the one that runs beside it in the same panes, or a pinned baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from streams.domain.fields import Fields
from streams.domain.selector import OPERATORS, Selector, read_selectors, read_where
from streams.domain.yamltext import load_yaml

STATISTICS: Final = ("mean", "p50", "p95", "p99", "max", "sum", "ratio")
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
UNITS: Final = ("1", "s", "By", "ratio", "1/s", "nat", "{agent}")
Against = Literal["concurrent", "pinned"]
_SOURCE: Final = {"metric", "where", "numerator", "denominator", "statistic", "min_samples", "blocking", "unit"}


@dataclass(frozen=True, slots=True)
class Source:
    """The number that is looked at.

    Attributes:
        statistic: one of :data:`STATISTICS`.
        selectors: its series; for a ratio the numerator.
        denominator: for a ratio.
    """

    statistic: str
    selectors: tuple[Selector, ...]
    denominator: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One limit.

    Attributes:
        name: of the gate.
        source: the number.
        unit: of number and threshold.
        op, threshold: the gate passes where ``value op threshold``.
        window_seconds: how much event time before the newest window counts.
        min_samples: fewer observations (for a ratio: a smaller denominator) decide nothing.
        blocking: a failure fails the verdict; else it is advice.
    """

    name: str
    source: Source
    unit: str
    op: str
    threshold: float
    window_seconds: float
    min_samples: int
    blocking: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """One regression test.

    Attributes:
        name: of the gate.
        source: the number.
        unit: of the number.
        direction: which way is better, ``lower`` or ``higher``.
        max_change: how much worse is tolerated: a share of the baseline, for ratios a difference.
        p_value: a change counts where chance alone makes it this rarely, over all comparisons of the profile together.
        min_windows: panes in which both versions had traffic (pinned: panes of each).
        min_samples: observations of each version.
        against: ``concurrent`` or ``pinned``.
        window_seconds: how much event time before the newest window counts.
        blocking: a failure fails the verdict; else it is advice.
    """

    name: str
    source: Source
    unit: str
    direction: str
    max_change: float
    p_value: float
    min_windows: int
    min_samples: int
    against: Against
    window_seconds: float
    blocking: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """What a deployment must show.

    Attributes:
        name: as in the file.
        max_age_seconds: data whose newest window ended longer ago is stale, and stale data decides nothing.
        checks, comparisons: in the order of the file.
    """

    name: str
    max_age_seconds: float
    checks: tuple[Check, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def gates(self) -> tuple[Check | Comparison, ...]:
        """Checks, then comparisons."""
        return (*self.checks, *self.comparisons)

    @property
    def window_seconds(self) -> float:
        """The longest look back of any gate."""
        return max(gate.window_seconds for gate in self.gates)

    def selectors(self) -> tuple[Selector, ...]:
        """Everything any gate reads, without repetition."""
        return tuple(dict.fromkeys(s for g in self.gates for s in (*g.source.selectors, *g.source.denominator)))


def load_profiles(text: str) -> dict[str, Profile]:
    """Profiles from YAML.

    Raises:
        ConfigurationError: names the profile, the gate, the field, what is there and what is allowed.
    """
    top = Fields("gates", load_yaml("gates", text))
    top.only({"version", "profiles"})
    if top.integer("version", default=0, least=0) != 1:
        raise top.wrong("version", "1")
    return {
        str(name): _profile(str(name), item)
        for name, item in Fields("gates: profiles", top.body.get("profiles")).body.items()
    }


def _profile(name: str, body: object) -> Profile:
    fields = Fields(f"profile {name}", body)
    fields.only({"max_age_seconds", "checks", "comparisons"})
    checks = _gates(fields, "checks", _check)
    comparisons = _gates(fields, "comparisons", _comparison)
    if not checks and not comparisons:
        raise fields.wrong("checks", "at least one check or comparison")
    return Profile(name, fields.number("max_age_seconds", default=120, least=1), checks, comparisons)


def _gates(fields: Fields, part: str, read: Any) -> tuple[Any, ...]:
    body = Fields(f"{fields.place}: {part}", fields.body.get(part, {})).body
    return tuple(read(str(name), Fields(f"{fields.place}: {name}", item)) for name, item in body.items())


def _check(name: str, fields: Fields) -> Check:
    fields.only({*_SOURCE, "op", "threshold", "window_seconds"})
    return Check(
        name=name,
        source=_source(fields),
        unit=fields.choice("unit", UNITS, default="1"),
        op=fields.choice("op", tuple(OPERATORS)),
        threshold=fields.number("threshold"),
        window_seconds=fields.number("window_seconds", default=300, least=10),
        min_samples=fields.integer("min_samples", default=1, least=1),
        blocking=_blocking(fields),
    )


def _comparison(name: str, fields: Fields) -> Comparison:
    fields.only({*_SOURCE, "direction", "max_change", "p_value", "min_windows", "against", "window_seconds"})
    source = _source(fields)
    direction = fields.choice("direction", ("lower", "higher"), default="lower")
    if source.statistic in ("max", "sum"):
        raise fields.wrong("statistic", "mean, a percentile or ratio: only these can be compared between versions")
    if direction == "higher" and source.statistic in QUANTILES:
        raise fields.wrong("direction", "lower for percentiles (compare the mean where higher is better)")
    p_value = fields.number("p_value", default=0.01, least=0)
    if not 0 < p_value < 0.5:
        raise fields.wrong("p_value", "a number above 0 and below 0.5")
    against = fields.choice("against", ("concurrent", "pinned"), default="concurrent")
    return Comparison(
        name=name,
        source=source,
        unit=fields.choice("unit", UNITS, default="1"),
        direction=direction,
        max_change=fields.number("max_change", least=0),
        p_value=p_value,
        min_windows=fields.integer("min_windows", default=30, least=3),
        min_samples=fields.integer("min_samples", default=200, least=1),
        against="pinned" if against == "pinned" else "concurrent",
        window_seconds=fields.number("window_seconds", default=3600, least=30),
        blocking=_blocking(fields),
    )


def _source(fields: Fields) -> Source:
    statistic = fields.choice("statistic", STATISTICS)
    if statistic == "ratio":
        return Source(statistic, read_selectors(fields, "numerator"), read_selectors(fields, "denominator"))
    where = read_where(fields, fields.body.get("where", {}))
    return Source(statistic, (Selector(fields.text("metric"), where),))


def _blocking(fields: Fields) -> bool:
    value = fields.body.get("blocking", True)
    if not isinstance(value, bool):
        raise fields.wrong("blocking", "true or false")
    return value
