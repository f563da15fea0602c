"""YAML as people write it in our files: safe, and no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from streams.errors import ConfigurationError


class _WrittenTwice(Exception):
    """A key of a mapping, and its line."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                break  # the base says what is wrong with it
            if key in seen:
                raise _WrittenTwice(f"{key} is written twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(place: str, text: str) -> object:
    """YAML in which no key may be written twice.

    Raises:
        ConfigurationError: it is not YAML, or a key is written twice; names ``place``.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigurationError(f"{place}: not YAML: {error}") from error
    except _WrittenTwice as error:
        raise ConfigurationError(f"{place}: {error}") from error
