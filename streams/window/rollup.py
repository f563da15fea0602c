"""Larger windows as merges of closed panes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.window.merge import merge
from streams.window.pane import I32, Aggregates

_FOREVER: Final = 2**63 - 1


class Span(NamedTuple):
    """A kind of window: how long, and how often one ends. Both multiples of the pane; ``slide == size`` is tumbling."""

    size_ns: int
    slide_ns: int


class Rollup:
    """Keeps the closed panes that open windows still need, and merges them when a window ends.

    A window is merged from the longest tumbling windows that divide it (five minutes from one minute from panes): each
    pane is merged about once per level. A part that is not kept (after a restart) is merged again from the level below:
    the same operations in the same order, so the same bits.

    Bounded by age: parts older than the longest window are forgotten.
    """

    def __init__(self, spans: tuple[Span, ...], pane_ns: int) -> None:
        for span in spans:
            if span.size_ns % pane_ns or span.slide_ns % pane_ns or not 0 < span.slide_ns <= span.size_ns:
                raise ValueError(f"window {span} is not made of whole panes of {pane_ns} ns")
        self._spans = spans
        self._pane_ns = pane_ns
        self.panes: dict[int, Aggregates] = {}
        self._merged: dict[tuple[int, int], Aggregates] = {}
        self._part_ns = {span: self._largest_part(span) for span in spans}

    def _largest_part(self, span: Span) -> int:
        """Size of the windows that a window of this kind is merged from."""
        tumbling = [s.size_ns for s in self._spans if s.size_ns == s.slide_ns < span.size_ns]
        fits = [size for size in tumbling if span.size_ns % size == 0 and span.slide_ns % size == 0]
        return max(fits, default=self._pane_ns)

    def add(self, start_ns: int, pane: Aggregates) -> None:
        """Remembers a closed pane."""
        self.panes[start_ns] = pane

    def parts(self) -> Iterator[Aggregates]:
        """Everything that is kept."""
        yield from self.panes.values()
        yield from self._merged.values()

    def move(self, place: I32) -> None:
        """Follows a table in which slot s has become ``place[s]``."""
        self.panes = {start: part.moved(place) for start, part in self.panes.items()}
        self._merged = {key: part.moved(place) for key, part in self._merged.items()}

    def ended(self, before_ns: int, now_ns: int, order: I32) -> Iterator[tuple[int, int, Aggregates]]:
        """Windows whose end is in ``(before_ns, now_ns]`` and that hold events, as (start, size, aggregates).

        In the order of their ends; panes that no later window needs are forgotten.
        """
        for end_ns, span in sorted(self._ends(before_ns, now_ns)):
            start_ns = end_ns - span.size_ns
            window = self._window(start_ns, span, order)
            if window is not None:
                yield start_ns, span.size_ns, window
        self._forget(self.needed_from(now_ns))

    def _window(self, start_ns: int, span: Span, order: I32) -> Aggregates | None:
        known = self._merged.get((start_ns, span.size_ns))
        if known is not None:
            return known
        step_ns = self._part_ns[span]
        found = (self._part(s, step_ns, order) for s in range(start_ns, start_ns + span.size_ns, step_ns))
        parts = [part for part in found if part is not None]
        if not parts:
            return None
        window = merge(parts, order)
        if span.size_ns in self._part_ns.values():
            self._merged[start_ns, span.size_ns] = window
        return window

    def _part(self, start_ns: int, size_ns: int, order: I32) -> Aggregates | None:
        if size_ns == self._pane_ns:
            return self.panes.get(start_ns)
        return self._window(start_ns, Span(size_ns, size_ns), order)

    def _forget(self, from_ns: int) -> None:
        self.panes = {start: pane for start, pane in self.panes.items() if start >= from_ns}
        self._merged = {key: part for key, part in self._merged.items() if key[0] >= from_ns}

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
