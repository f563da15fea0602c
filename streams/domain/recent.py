"""What was worked out for a set of series, kept for the sets seen last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from streams.domain.series import Series

T = TypeVar("T")
LIMIT: Final = 16


@dataclass
class Recent(Generic[T]):
    """Results by the identity of a tuple of series.

    The window operator gives the same tuple for the same series, and from one window to the next they are mostly the
    same. Bounded by count: the :data:`LIMIT` newest are kept (and keep their tuple alive, so that an identity is never
    taken for another's); an older one is worked out again.
    """

    make: Callable[[Sequence[Series]], T]
    _kept: dict[int, tuple[Sequence[Series], T]] = field(default_factory=dict)

    def of(self, series: Sequence[Series]) -> T:
        """The result for these series."""
        known = self._kept.get(id(series))
        if known is not None:
            return known[1]
        made = self.make(series)
        if len(self._kept) >= LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[id(series)] = (series, made)
        return made

    def clear(self) -> None:
        """Forgets all: what results rest on has changed."""
        self._kept.clear()
