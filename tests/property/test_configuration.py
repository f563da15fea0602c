"""Whatever stands in a file or a variable that people write: it is used, or refused with a text that says why."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.api.tokens import read_tokens
from streams.correlate.fixture import load_fixtures
from streams.correlate.rules import load_thresholds, parse_thresholds
from streams.errors import ConfigurationError
from streams.gate.profile import load_profiles
from streams.records.cluster import security_of
from streams.settings import Settings, describe

MONITORING = Path(__file__).parents[2] / "monitoring"
FILES: dict[str, Callable[[str], Any]] = {
    "thresholds.yml": load_thresholds,
    "rulefixtures.yml": load_fixtures,
    "gates.yml": load_profiles,
}
BODIES: dict[str, Any] = {name: yaml.safe_load((MONITORING / name).read_text()) for name in FILES}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def accepts(read: Callable[[], Any]) -> bool:
    """False where it is refused; anything but a refusal fails the test."""
    try:
        read()
    except ConfigurationError:
        return False
    return True


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree."""
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


PLACES = {name: places(body)[1:] for name, body in BODIES.items()}


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    made = copy.deepcopy(body)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@pytest.mark.parametrize("name", sorted(FILES))
@given(text=st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_in_place_of_a_file(name: str, text: str) -> None:
    accepts(lambda: FILES[name](text))


@pytest.mark.parametrize("name", sorted(FILES))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_anything_in_any_place_of_a_shipped_file(name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(PLACES[name]))
    body = changed(BODIES[name], path, data.draw(TREES))
    if name == "thresholds.yml":
        accepts(lambda: parse_thresholds(body))
    accepts(lambda: FILES[name](yaml.safe_dump(body, allow_unicode=True)))


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_text_in_any_variable(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(describe()))
    accepts(lambda: Settings.from_environ({row.variable: data.draw(st.text(max_size=30) | st.integers().map(str))}))


@given(text=st.text(max_size=120) | st.sampled_from(["security.protocol=SSL\n", "sasl.mechanism=PLAIN\n"]))
@settings(max_examples=100, deadline=None)
def test_any_properties_and_any_tokens(text: str) -> None:
    accepts(lambda: security_of(text))
    accepts(lambda: read_tokens(text.splitlines(), "tokens"))
