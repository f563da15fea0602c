"""What decode remembers between runs, all of it bounded, none of it needed for a correct result."""

from __future__ import annotations

from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

DEFAULT_COUNT: Final = 20_000
DEFAULT_BYTES: Final = 64 * 1_048_576


class Generations(dict[K, V | None]):
    """A map bounded by count and by bytes, in two generations. Read it with ``map[key]``: None for what is not there.

    New and used entries live in the young generation (the dict itself, so a hit costs a plain dict look-up). When it
    holds half the limit it becomes the old one and the previous old one is dropped: what was not used during a whole
    generation is forgotten. At the bound an entry is only parsed again; nothing is lost.
    """

    def __init__(self, count: int = DEFAULT_COUNT, size_bytes: int = DEFAULT_BYTES) -> None:
        """Bounds: at most ``count`` entries and ``size_bytes`` of what callers declare, over both generations."""
        super().__init__()
        self._half_count = max(1, count // 2)
        self._half_bytes = max(1, size_bytes // 2)
        self._old: dict[K, tuple[V, int]] = {}
        self._sizes: dict[K, int] = {}
        self._bytes = 0

    def __missing__(self, key: K) -> V | None:
        known = self._old.pop(key, None)
        if known is None:
            return None
        self.put(key, *known)
        return known[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Remember; an entry larger than half the byte bound is not kept."""
        if size_bytes > self._half_bytes:
            return
        if len(self) >= self._half_count or self._bytes + size_bytes > self._half_bytes:
            self._age()
        self._bytes += size_bytes - self._sizes.get(key, 0)
        self._sizes[key] = size_bytes
        self[key] = value

    def _age(self) -> None:
        self._old = {key: (value, self._sizes[key]) for key, value in self.items() if value is not None}
        super().clear()
        self._sizes, self._bytes = {}, 0

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._old, self._sizes, self._bytes = {}, {}, 0

    @property
    def total(self) -> int:
        """Entries held in both generations."""
        return len(self) + len(self._old)
