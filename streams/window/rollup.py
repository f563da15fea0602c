"""Larger windows as merges of closed panes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.window.pane import I32, Aggregates, merge

_FOREVER: Final = 2**63 - 1


class Span(NamedTuple):
    """A kind of window: how long, and how often one ends. Both multiples of the pane; ``slide == size`` is tumbling."""

    size_ns: int
    slide_ns: int


class Rollup:
    """Keeps the closed panes that open windows still need, and merges them when a window ends.

    Bounded by age: panes older than the longest window are forgotten.
    """

    def __init__(self, spans: tuple[Span, ...], pane_ns: int) -> None:
        for span in spans:
            if span.size_ns % pane_ns or span.slide_ns % pane_ns or not 0 < span.slide_ns <= span.size_ns:
                raise ValueError(f"window {span} is not made of whole panes of {pane_ns} ns")
        self._spans = spans
        self._pane_ns = pane_ns
        self.panes: dict[int, Aggregates] = {}

    def add(self, start_ns: int, pane: Aggregates) -> None:
        """Remembers a closed pane."""
        self.panes[start_ns] = pane

    def ended(self, before_ns: int, now_ns: int, slots: int, rank: I32) -> Iterator[tuple[int, int, Aggregates]]:
        """Windows whose end is in ``(before_ns, now_ns]`` and that hold events, as (start, size, aggregates).

        In the order of their ends; panes that no later window needs are forgotten.
        """
        for end_ns, span in sorted(self._ends(before_ns, now_ns)):
            parts = [self.panes[s] for s in range(end_ns - span.size_ns, end_ns, self._pane_ns) if s in self.panes]
            yield end_ns - span.size_ns, span.size_ns, merge(parts, slots, rank)
        for start in [s for s in self.panes if s < self.needed_from(now_ns)]:
            del self.panes[start]

    def _ends(self, before_ns: int, now_ns: int) -> set[tuple[int, Span]]:
        """Ends of windows that hold at least one kept pane."""
        found = set()
        for start in self.panes:
            for span in self._spans:
                first = start - start % span.slide_ns + span.slide_ns
                for end_ns in range(first, start + span.size_ns + 1, span.slide_ns):
                    if before_ns < end_ns <= now_ns:
                        found.add((end_ns, span))
        return found

    def open_ends(self, now_ns: int) -> list[int]:
        """Ends of the windows that hold events and are not published yet."""
        return [end_ns for end_ns, _ in self._ends(now_ns, _FOREVER)]

    def needed_from(self, now_ns: int) -> int:
        """Start of the oldest pane that a window still open at ``now_ns`` can need."""
        return min((_oldest_start(now_ns, span) for span in self._spans), default=now_ns)


def _oldest_start(now_ns: int, span: Span) -> int:
    next_end = now_ns - now_ns % span.slide_ns + span.slide_ns
    return next_end - span.size_ns
