"""YAML of people: what is refused, and that the place is named."""

from __future__ import annotations

import pytest

from streams.domain.yamltext import load_yaml
from streams.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"gates: a is written twice \(line 3\)"),
        ("a: {b: 1, b: 2}", r"gates: b is written twice \(line 1\)"),
        ("a: [", "gates: not YAML"),
        ("? [1, 2]\n: 3", "gates: not YAML: .*unhashable key"),
        ("a: 2026-13-45", "gates: not YAML"),
        ("a: !!python/object:os.system {}", "gates: not YAML"),
        ("[" * 5_000, "gates: not YAML"),
        ("a: &a 1\nb: *a", r"gates: an alias \(line 2\)"),
        ("a: &a [x]\nb: &b [*a, *a]", r"gates: an alias \(line 2\)"),
    ],
)
def test_what_is_refused_names_the_place(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        load_yaml("gates", text)


def test_the_same_key_in_two_mappings_is_fine() -> None:
    assert load_yaml("gates", "a: {x: 1}\nb: {x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}
