"""YAML as people write it in our files: safe, no key twice, nothing that stands for much more than is written."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from streams.errors import ConfigurationError


class _Refused(Exception):
    """What is YAML and not taken: says what, with its line."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice (the second would silently win) and aliases.

    Nine lines of aliases of aliases stand for a hundred million values, which a message about one of them would write.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise _Refused(f"an alias (line {line}): write out what it stands for")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                break  # the base says what is wrong with it
            if key in seen:
                raise _Refused(f"{key} is written twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(place: str, text: str) -> object:
    """YAML in which no key may be written twice and nothing stands for something else.

    Raises:
        ConfigurationError: it is not YAML, a key is written twice, or there is an alias; names ``place``.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise ConfigurationError(f"{place}: not YAML: {error}") from error
    except _Refused as error:
        raise ConfigurationError(f"{place}: {error}") from error
