"""Fixtures of rules: series that must make a rule fire, and series that must not. Text in, verdicts out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from streams.correlate.operator import CorrelateOperator
from streams.correlate.rule import Rule
from streams.domain.alert import SEVERITIES, AlertTransition
from streams.domain.anomaly import Anomaly, Score
from streams.domain.fields import Fields
from streams.domain.series import Series
from streams.domain.sketch import LOG_GAMMA, SMALLEST
from streams.domain.window import QUANTILES, WindowBatch
from streams.domain.yamltext import load_yaml

WINDOWS: Final = 150
"""Windows that a fixture lasts unless it says otherwise: 25 minutes of 10 s."""
MOST_WINDOWS: Final = 10_000
FIRST_NS: Final = 1_700_000_000_000_000_000
KINDS: Final = ("counter", "updowncounter", "gauge", "histogram")
CLOCK: Final = Series("fixture.clock", "1", "gauge", ())
"""Time goes on with it, whatever the fixture's own series do."""
_ROW: Final = frozenset(
    {
        *("metric", "kind", "unit", "labels", "values", "add_per_window"),
        *("every", "from_window", "until_window", "anomalous"),
    }
)
_STRANGE: Final = Score(0.99995, 0.0, -1.0, 1.0, False)


@dataclass(frozen=True, slots=True)
class Row:
    """One series of a scene.

    Attributes:
        values: value -> how often it comes in each window.
        add_per_window: what each value grows by from window to window.
        every: it comes in each n-th window only.
        from_window: it begins there. until_window: it ends there (0: it does not end).
        anomalous: a detector calls each of its windows an anomaly.
    """

    series: Series
    values: Mapping[float, int]
    add_per_window: float = 0.0
    every: int = 1
    from_window: int = 0
    until_window: int = 0
    anomalous: bool = False

    def at(self, number: int) -> list[float]:
        """Its values in a window, none where it is absent."""
        over = self.until_window and number >= self.until_window
        if number % self.every or number < self.from_window or over:
            return []
        return [value + number * self.add_per_window for value, times in self.values.items() for _ in range(times)]


@dataclass(frozen=True, slots=True)
class Scene:
    """Series over a number of windows, and the severity that the rule must reach in them ("": it must be silent)."""

    rows: tuple[Row, ...]
    windows: int
    severity: str


@dataclass(frozen=True, slots=True)
class Fixture:
    """What must fire a rule and what must not."""

    rule: str
    fires: Scene
    silent: Scene


def load_fixtures(text: str) -> dict[str, Fixture]:
    """Fixtures from YAML, by rule.

    Raises:
        ConfigurationError: names the rule, the field, what is there and what is allowed.
    """
    top = Fields("fixtures", load_yaml("fixtures", text))
    top.only({"version", "fixtures"})
    if top.integer("version", default=0, least=0) != 1:
        raise top.wrong("version", "1")
    found = Fields("fixtures", top.body.get("fixtures"))
    return {str(name): _fixture(str(name), item) for name, item in found.body.items()}


def _fixture(name: str, body: object) -> Fixture:
    fields = Fields(f"fixture {name}", body)
    fields.only({"fires", "silent"})
    return Fixture(name, _scene(fields, "fires"), _scene(fields, "silent"))


def _scene(fixture: Fields, which: str) -> Scene:
    fields = Fields(f"{fixture.place}: {which}", fixture.body.get(which))
    fires = which == "fires"
    fields.only({"series", "windows", "severity"} if fires else {"series", "windows"})
    severity = fields.choice("severity", SEVERITIES) if fires else ""
    windows = fields.integer("windows", default=WINDOWS, least=1)
    if windows > MOST_WINDOWS:
        raise fields.wrong("windows", f"at most {MOST_WINDOWS}")
    return Scene(tuple(_row(fields.place, item) for item in fields.items("series", default=())), windows, severity)


def _row(place: str, body: object) -> Row:
    fields = Fields(f"{place}: series", body)
    fields.only(_ROW)
    labels = Fields(f"{fields.place}: labels", fields.body.get("labels", {})).body
    pairs = tuple(sorted((str(key), str(value)) for key, value in labels.items()))
    kind = fields.choice("kind", KINDS, default="counter")
    return Row(
        Series(fields.text("metric"), fields.text("unit", default="1"), kind, pairs),
        _values(fields),
        fields.number("add_per_window", default=0.0),
        fields.integer("every", default=1, least=1),
        fields.integer("from_window", default=0, least=0),
        fields.integer("until_window", default=0, least=0),
        fields.body.get("anomalous", False) is True,
    )


def _values(fields: Fields) -> dict[float, int]:
    found = fields.body.get("values")
    allowed = "a mapping of each value to how often it comes in a window, such as {0.2: 5}"
    if not isinstance(found, Mapping) or not found:
        raise fields.wrong("values", allowed)
    for value, times in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise fields.wrong("values", allowed)
        if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_WINDOWS:
            raise fields.wrong("values", allowed)
    return {float(value): times for value, times in found.items()}


def failures(rules: Sequence[Rule], fixtures: Mapping[str, Fixture], window_seconds: float = 10.0) -> list[str]:
    """What is wrong, one line each; nothing where every rule has a fixture that fires it and one that does not."""
    wrong = [f"{name}: there is no rule of this name" for name in fixtures if name not in {r.name for r in rules}]
    for rule in rules:
        fixture = fixtures.get(rule.name)
        if fixture is None:
            wrong.append(f"{rule.name}: has no fixture; write one that fires it and one that does not")
            continue
        reached = severities(rule, fixture.fires, window_seconds)
        if fixture.fires.severity not in reached:
            wrong.append(
                f"{rule.name}: fires should reach {fixture.fires.severity} within {fixture.fires.windows} windows; "
                f"it reached {', '.join(sorted(reached)) or 'nothing'}"
            )
        if said := severities(rule, fixture.silent, window_seconds):
            wrong.append(f"{rule.name}: silent should not fire; it reached {', '.join(sorted(said))}")
    return wrong


def severities(rule: Rule, scene: Scene, window_seconds: float = 10.0) -> set[str]:
    """Severities that the rule fires with on a scene."""
    return {transition.severity for transition in played(rule, scene, window_seconds) if transition.state == "firing"}


def played(rule: Rule, scene: Scene, window_seconds: float = 10.0) -> Iterator[AlertTransition]:
    """What a rule says on a scene, window by window."""
    operator = CorrelateOperator([rule], window_seconds=window_seconds)
    for number in range(scene.windows):
        batch, anomalies = _window(scene, number, round(window_seconds * 1e9))
        yield from operator.apply(batch, anomalies)
        yield from operator.advance(batch.end_ns)


def _window(scene: Scene, number: int, window_ns: int) -> tuple[WindowBatch, list[Anomaly]]:
    """The closed window with this number, and the anomalies in it."""
    columns = {CLOCK: [float(number)]}
    columns |= {row.series: values for row in scene.rows if (values := row.at(number))}
    start_ns = FIRST_NS + number * window_ns
    anomalies = [
        Anomaly(row.series, start_ns, start_ns + window_ns, "mean", columns[row.series][0], _STRANGE, "novelty", 0.9999)
        for row in scene.rows
        if row.anomalous and row.series in columns
    ]
    return closed_window(columns, start_ns, window_ns), anomalies


def closed_window(
    columns: Mapping[Series, Sequence[float]],
    start_ns: int,
    window_ns: int,
    *,
    topic: str = "agents.metrics",
    partition: int = 0,
) -> WindowBatch:
    """A closed window as it would be of these values (at least one of each series)."""
    series = sorted(columns, key=lambda one: one.id)
    values = [np.asarray(columns[one], np.float64) for one in series]
    sketches = [np.unique([_bucket(v) for v in column.tolist()], return_counts=True) for column in values]
    return WindowBatch(
        topic=topic,
        partition=partition,
        start_ns=start_ns,
        end_ns=start_ns + window_ns,
        series=series,
        count=np.array([len(v) for v in values], np.int64),
        sum=np.array([v.sum() for v in values], np.float64),
        sum_low=np.zeros(len(values)),
        minimum=np.array([v.min() for v in values], np.float64),
        maximum=np.array([v.max() for v in values], np.float64),
        sum_squares=np.array([(v * v).sum() for v in values], np.float64),
        quantiles=np.array([np.quantile(v, QUANTILES) for v in values], np.float64).reshape(len(values), 3),
        sketch_start=np.cumsum([0, *(len(buckets) for buckets, _ in sketches)]).astype(np.int32),
        sketch_bucket=np.array([bucket for buckets, _ in sketches for bucket in buckets], np.int32),
        sketch_weight=np.array([weight for _, weights in sketches for weight in weights], np.int64),
    )


def _bucket(value: float) -> int:
    if abs(value) < SMALLEST:
        return 0
    return int(math.copysign(math.ceil(math.log(abs(value) / SMALLEST) / LOG_GAMMA), value))
