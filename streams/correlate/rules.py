"""``monitoring/thresholds.yml`` as values. Pure: text in, rules out, errors that say what to write."""

from __future__ import annotations

from typing import Final

from streams.correlate import template
from streams.correlate.rule import SIDES, STATISTICS, UNITS, Baseline, Level, Rule, RuleKind, Thresholds
from streams.correlate.weights import read_weights
from streams.domain.alert import SEVERITIES
from streams.domain.capacity import STATISTICS as USES
from streams.domain.capacity import Resource
from streams.domain.fields import Fields
from streams.domain.ratio import Ratio
from streams.domain.selector import OPERATORS, Selector, read_selectors, read_where
from streams.domain.vector import LEAST_FEATURES, MOST_FEATURES, Feature, Vector
from streams.domain.vector import STATISTICS as OF_FEATURES
from streams.domain.yamltext import load_yaml

_SHARED: Final = {"kind", "unit", "levels", "keep_firing_seconds", "summary", "description", "runbook"}
_FIELDS: Final[dict[str, set[str]]] = {
    "threshold": {
        *_SHARED,
        *("metric", "where", "numerator", "denominator", "statistic"),
        *("window_seconds", "min_count", "group_by"),
    },
    "absence": {*_SHARED, "group_by", "metric", "forget_seconds", "stopped_by"},
    "anomaly": {*_SHARED, "drop_labels", "confirm_k", "confirm_n", "metric", "where", "side"},
    "novelty": {*_SHARED, "metric", "where", "label", "known_by", "group_by", "learn_seconds", "forget_seconds"},
}
_KINDS: Final[tuple[RuleKind, ...]] = ("threshold", "absence", "anomaly", "novelty")
_FORGET_SECONDS: Final = {"absence": 3600.0, "novelty": 604_800.0}
LARGEST_N: Final = 100


def load_thresholds(text: str) -> Thresholds:
    """Rules, baselines, capacity, bands, ratios and vectors from YAML.

    Raises:
        ConfigurationError: names the rule, the field, what is there and what is allowed.
    """
    return parse_thresholds(load_yaml("thresholds", text))


def load_rules(text: str) -> tuple[Rule, ...]:
    """The rules alone, in the order of the file (see :func:`load_thresholds`)."""
    return load_thresholds(text).rules


def parse_thresholds(body: object) -> Thresholds:
    """The same from a mapping that is already parsed."""
    top = Fields("thresholds", body)
    top.only({"version", "rules", "baselines", "bands", "capacity", "incidents", "ratios", "vectors"})
    if top.integer("version", default=0, least=0) != 1:
        raise top.wrong("version", "1")
    rules = Fields("thresholds: rules", top.body.get("rules"))
    baselines = Fields("thresholds: baselines", top.body.get("baselines", {}))
    capacity = Fields("thresholds: capacity", top.body.get("capacity", {}))
    return Thresholds(
        tuple(parse_rule(str(name), item) for name, item in rules.body.items()),
        {str(name): _baseline(str(name), item) for name, item in baselines.body.items()},
        tuple(_resource(str(name), item) for name, item in capacity.body.items()),
        read_weights(top.body.get("incidents", {})),
        read_selectors(top, "bands") if "bands" in top.body else (),
        tuple(_ratio(str(name), item) for name, item in Fields("ratios", top.body.get("ratios", {})).body.items()),
        tuple(_vector(str(name), item) for name, item in Fields("vectors", top.body.get("vectors", {})).body.items()),
    )


def parse_rule(name: str, body: object) -> Rule:
    """One rule from its mapping."""
    fields = Fields(f"rule {name}", body)
    kind: RuleKind = next(k for k in _KINDS if k == fields.choice("kind", _KINDS, default="threshold"))
    fields.only(_FIELDS[kind])
    group_by = fields.texts("group_by") if kind != "anomaly" else ()
    statistic, selectors, denominator = _source(fields, kind)
    confirm = _confirm(fields) if kind == "anomaly" else (1, 1)
    rule = Rule(
        name=name,
        kind=kind,
        unit=fields.choice("unit", UNITS, default={"absence": "s", "anomaly": "windows"}.get(kind, "1")),
        statistic=statistic,
        selectors=selectors,
        denominator=denominator,
        window_seconds=fields.number("window_seconds", default=60, least=1) if kind == "threshold" else 0.0,
        min_count=fields.integer("min_count", default=1, least=1) if kind == "threshold" else 1,
        group_by=tuple(sorted(group_by)),
        drop_labels=fields.texts("drop_labels", default=()) if kind == "anomaly" else (),
        levels=_levels(fields, kind, confirm),
        keep_firing_seconds=fields.number("keep_firing_seconds", default=0, least=0),
        confirm=confirm,
        forget_seconds=fields.number("forget_seconds", default=_FORGET_SECONDS[kind], least=1)
        if kind in _FORGET_SECONDS
        else 0.0,
        stopped_by=read_selectors(fields, "stopped_by") if "stopped_by" in fields.body else (),
        summary=fields.text("summary"),
        description=fields.text("description", default=""),
        runbook=fields.text("runbook", default=f"monitoring/runbooks/{name}.md"),
        side=fields.choice("side", SIDES, default="") if kind == "anomaly" else "",
        label=fields.text("label") if kind == "novelty" else "",
        known_by=tuple(sorted(fields.texts("known_by"))) if kind == "novelty" else (),
        learn_seconds=fields.number("learn_seconds", default=3600, least=0) if kind == "novelty" else 0.0,
    )
    if rule.label and rule.label not in rule.group_by:
        raise fields.wrong("group_by", f"the label {rule.label} among them")
    _check_templates(fields, rule)
    return rule


def _source(fields: Fields, kind: str) -> tuple[str, tuple[Selector, ...], tuple[Selector, ...]]:
    if kind in ("anomaly", "novelty"):
        optional = kind == "anomaly" and "where" not in fields.body
        metric = fields.text("metric", default="" if optional else None)
        where = read_where(fields, fields.body.get("where", {}))
        return "", (Selector(metric, where),) if metric or where else (), ()
    if kind == "absence":
        metric = fields.text("metric", default="")
        return "", (Selector(metric),) if metric else (), ()
    statistic = fields.choice("statistic", STATISTICS)
    if statistic == "ratio":
        if "metric" in fields.body:
            raise fields.wrong("metric", "numerator and denominator instead, for statistic ratio")
        return statistic, read_selectors(fields, "numerator"), read_selectors(fields, "denominator")
    for name in ("numerator", "denominator"):
        if name in fields.body:
            raise fields.wrong(name, "it only with statistic ratio")
    where = read_where(fields, fields.body.get("where", {}))
    return statistic, (Selector(fields.text("metric"), where),), ()


def _confirm(fields: Fields) -> tuple[int, int]:
    k = fields.integer("confirm_k", default=3, least=1)
    n = fields.integer("confirm_n", default=5, least=1)
    if k > n:
        raise fields.wrong("confirm_k", f"at most confirm_n ({n})")
    if n > LARGEST_N:
        raise fields.wrong("confirm_n", f"at most {LARGEST_N}")
    return k, n


def _levels(fields: Fields, kind: str, confirm: tuple[int, int]) -> tuple[Level, ...]:
    """The limits; an anomaly rule's are given by its confirmation: reached at k, over at 0; so are those of novelty."""
    levels = []
    for item in fields.items("levels"):
        inner = Fields(f"{fields.place}: levels", item)
        if kind in ("anomaly", "novelty"):
            inner.only({"severity", "for_seconds"} if kind == "anomaly" else {"severity"})
            op, threshold, clear = ">=", float(confirm[0]), 1.0
        else:
            inner.only({"severity", "op", "threshold", "clear", "for_seconds"})
            op = inner.choice("op", tuple(OPERATORS), default=">")
            threshold = inner.number("threshold")
            clear = inner.number("clear", default=threshold)
            if clear != threshold and not OPERATORS[op](threshold, clear):
                raise inner.wrong("clear", f"the threshold ({threshold:g}) or a number on its good side")
        severity = inner.choice("severity", SEVERITIES)
        levels.append(Level(severity, op, threshold, clear, inner.number("for_seconds", default=0, least=0)))
    return tuple(sorted(levels, key=lambda level: SEVERITIES.index(level.severity)))


def _check_templates(fields: Fields, rule: Rule) -> None:
    known = (*template.FIGURES, *rule.group_by, *(template.ANOMALY_FIGURES if rule.kind == "anomaly" else ()))
    for name in ("summary", "description"):
        unknown = template.unknown_names(getattr(rule, name), known)
        if unknown:
            raise fields.wrong(name, f"only the placeholders {', '.join(known)} (not {', '.join(unknown)})")


def _baseline(name: str, body: object) -> Baseline:
    fields = Fields(f"baseline {name}", body)
    fields.only({"unit", "direction", "baseline", "warning", "critical", "metric"})
    direction = fields.choice("direction", ("higher", "lower"))
    normal, warning, critical = (fields.number(part) for part in ("baseline", "warning", "critical"))
    figures = [normal, warning, critical]
    if figures != sorted(figures, reverse=direction == "higher"):
        raise fields.wrong("warning", f"baseline, warning and critical in order of badness ({direction} is better)")
    unit, metric = fields.text("unit"), fields.text("metric", default="")
    return Baseline(name, unit, direction, normal, warning, critical, metric)


def _ratio(name: str, body: object) -> Ratio:
    fields = Fields(f"ratio {name}", body)
    fields.only({"numerator", "denominator", "group_by"})
    numerator, denominator = read_selectors(fields, "numerator"), read_selectors(fields, "denominator")
    return Ratio(name, numerator, denominator, tuple(sorted(fields.texts("group_by"))))


def _vector(name: str, body: object) -> Vector:
    fields = Fields(f"vector {name}", body)
    fields.only({"features", "group_by"})
    items = Fields(f"{fields.place}: features", fields.body.get("features", {})).body
    if not LEAST_FEATURES <= len(items) <= MOST_FEATURES:
        raise fields.wrong("features", f"{LEAST_FEATURES} to {MOST_FEATURES} of them, each with a name")
    features = tuple(_feature(f"{fields.place}: {one}", str(one), item) for one, item in items.items())
    return Vector(name, features, tuple(sorted(fields.texts("group_by"))))


def _feature(place: str, name: str, body: object) -> Feature:
    fields = Fields(place, body)
    fields.only({"metric", "where", "statistic"})
    selector = Selector(fields.text("metric"), read_where(fields, fields.body.get("where", {})))
    return Feature(name, selector, fields.choice("statistic", OF_FEATURES))


def _resource(name: str, body: object) -> Resource:
    fields = Fields(f"capacity {name}", body)
    fields.only({"metric", "where", "statistic", "limit", "group_by", "period_seconds"})
    statistic = next(s for s in USES if s == fields.choice("statistic", USES))
    limit = fields.number("limit")
    if limit <= 0:
        raise fields.wrong("limit", "a number above 0")
    period_seconds = fields.number("period_seconds", default=0, least=0)
    if (statistic == "increase") != (period_seconds > 0):
        raise fields.wrong("period_seconds", "how long a budget lasts, with statistic increase and only there")
    selector = Selector(fields.text("metric"), read_where(fields, fields.body.get("where", {})))
    return Resource(name, selector, statistic, limit, tuple(sorted(fields.texts("group_by"))), period_seconds)
