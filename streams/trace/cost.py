"""What tokens cost, by prices that the user wrote down. A model without a price has no cost: none is invented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import yaml

from streams.errors import ConfigurationError
from streams.trace.performance import UseKey

PER_PRICE: Final = 1_000_000
_FIELDS: Final = {"input_per_million", "output_per_million"}


class Price(NamedTuple):
    """Of a million tokens, in the user's currency."""

    input_per_million: float
    output_per_million: float


class Cost(NamedTuple):
    """One row of usage; ``cost`` None: the model has no price."""

    key: UseKey
    input_tokens: int
    output_tokens: int
    cost: float | None


def load_prices(text: str) -> dict[str, Price]:
    """Prices by model name from YAML (``monitoring/prices.yml`` describes the form).

    Raises:
        ConfigurationError: names the model and what is wrong.
    """
    try:
        body = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"prices: not YAML: {error}") from error
    models = (body.get("models") or {}) if isinstance(body, dict) else None
    if not isinstance(models, dict) or set(body) - {"models"}:
        raise ConfigurationError("prices: expected one mapping named models")
    return {str(name): _price(str(name), given) for name, given in models.items()}


def _price(name: str, given: Any) -> Price:
    if not isinstance(given, dict) or set(given) != _FIELDS:
        raise ConfigurationError(f"prices: {name} needs input_per_million and output_per_million, and nothing else")
    for field, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigurationError(f"prices: {name}: {field} must be a number of at least 0, got {value!r}")
    return Price(**given)


def costs(usage: Mapping[UseKey, tuple[int, int]], prices: Mapping[str, Price]) -> list[Cost]:
    """Rows of usage with their cost, the dearest first, those of unknown cost last (most tokens first)."""
    rows = [Cost(key, *spent, _cost(spent, prices.get(key.model))) for key, spent in usage.items()]
    return sorted(rows, key=lambda r: (r.cost is None, -(r.cost or 0.0), -r.input_tokens - r.output_tokens, r.key))


def _cost(spent: tuple[int, int], price: Price | None) -> float | None:
    if price is None:
        return None
    return (spent[0] * price.input_per_million + spent[1] * price.output_per_million) / PER_PRICE
