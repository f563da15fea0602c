"""Which series somebody means: a metric and conditions on its labels, as a person writes them in a file."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from streams.domain.fields import Fields
from streams.domain.series import Series

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
Conditions = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """Series of one metric whose labels match.

    Attributes:
        metric: OpenTelemetry style name.
        where: label -> allowed values; a value that ends in ``*`` allows every value with that beginning.
    """

    metric: str
    where: Conditions = ()

    def matches(self, series: Series) -> bool:
        """True when the series belongs to it."""
        if series.name != self.metric:
            return False
        return holds(self.where, series.label)


def holds(where: Conditions, value_of: Callable[[str], str]) -> bool:
    """Whether all conditions hold for labels whose values ``value_of`` gives ("" for one that is not there)."""
    return all(any(_allows(value, value_of(label)) for value in values) for label, values in where)


def _allows(pattern: str, value: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def read_selectors(fields: Fields, name: str) -> tuple[Selector, ...]:
    """A list of ``{metric, where}``.

    Raises:
        ConfigurationError: names the place and what is allowed.
    """
    found = []
    for item in fields.items(name):
        inner = Fields(f"{fields.place}: {name}", item)
        inner.only({"metric", "where"})
        found.append(Selector(inner.text("metric"), read_where(inner, inner.body.get("where", {}))))
    return tuple(found)


def read_where(fields: Fields, body: object) -> Conditions:
    """A mapping of label to a text or a list of texts.

    Raises:
        ConfigurationError: names the label and what is allowed.
    """
    conditions = Fields(f"{fields.place}: where", body)
    found = []
    for label, value in conditions.body.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(item, str) for item in values):
            raise conditions.wrong(label, "a text or a list of texts (quote numbers)")
        found.append((str(label), tuple(values)))
    return tuple(sorted(found))
