"""What was worked out for something, kept for what was seen last."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
LIMIT: Final = 16


@dataclass
class Recent(Generic[S, T]):
    """Results of ``make`` by the ``key`` of what they were made of; by default its identity.

    The window operator gives the same tuple for the same series, and from one window to the next they are mostly the
    same, so results for a set of series are kept by the identity of its tuple. Bounded by count: the ``limit`` first
    seen last are kept (and keep what they were made of alive, so that an identity is never taken for another's); an
    older one is worked out again.
    """

    make: Callable[[S], T]
    key: Callable[[S], Hashable] = id
    limit: int = LIMIT
    _kept: dict[Hashable, tuple[S, T]] = field(default_factory=dict)

    def of(self, subject: S) -> T:
        """The result for this."""
        key = self.key(subject)
        known = self._kept.get(key)
        if known is not None:
            return known[1]
        made = self.make(subject)
        if len(self._kept) >= self.limit:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (subject, made)
        return made

    def clear(self) -> None:
        """Forgets all: what results rest on has changed."""
        self._kept.clear()
