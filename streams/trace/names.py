"""Names with few values: ids taken out of span names, and a bound on how many names a service may bring."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

OTHER: Final = "other"
MAX_NAME_CHARACTERS: Final = 128

_UUID: Final = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_HEX: Final = re.compile(r"\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b")
_SEGMENT: Final = re.compile(r"(?<=[/:#])\d+(?=$|[/?:#&\s])")
_NUMBER: Final = re.compile(r"\b\d{4,}\b")
_QUERY: Final = re.compile(r"\?\S*")


def template(name: str) -> str:
    """A span name without what identifies one request: ``GET /users/17?x=1`` -> ``GET /users/{id}``.

    Replaced are UUIDs, hexadecimal words of 8 and more digits (with at least one decimal), numbers that fill a path
    segment, and numbers of 4 and more digits; a query string is cut off. Model names such as ``gpt-4`` stay.
    """
    if name.isalpha():
        return name[:MAX_NAME_CHARACTERS]
    short = _QUERY.sub("", name)
    for pattern in (_UUID, _HEX, _SEGMENT, _NUMBER):
        short = pattern.sub("{id}", short)
    return short[:MAX_NAME_CHARACTERS]


@dataclass
class Vocabulary:
    """Bounds how many values a label may take: first come, first served; later ones read ``other`` and are counted.

    ``limit`` holds per scope (a service, for span names), ``scope_limit`` bounds the scopes; a scope beyond it has no
    values of its own. Nothing is forgotten in a vocabulary's life, so that a name never changes its meaning.
    """

    limit: int = 200
    scope_limit: int = 2_000
    seen: dict[str, set[str]] = field(default_factory=dict)
    overflowed: int = 0

    def admit(self, scope: str, value: str) -> str:
        """The value, or ``other``."""
        known = self.seen.get(scope)
        if known is None:
            if len(self.seen) >= self.scope_limit:
                self.overflowed += 1
                return OTHER
            known = self.seen[scope] = set()
        if value in known:
            return value
        if len(known) >= self.limit:
            self.overflowed += 1
            return OTHER
        known.add(value)
        return value
