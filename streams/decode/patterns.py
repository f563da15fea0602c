"""Shapes of log lines, mined as they come: what a line says with its numbers, ids and quoted parts taken out.

As Drain does (He et al., ICWS 2017) lines are compared with those of the same number of words and the same first word.
Unlike there a pattern never changes: it is the first line of its kind, and a line belongs to the oldest pattern that is
similar enough. So patterns that are added later take no line away from older ones, and a replay of the log gives each
line the pattern it had, whatever has been learned since; the patterns themselves are label values in the table of
series and are read back from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from streams.domain.series import Series

LABEL: Final = "pattern"
OTHER: Final = "<other>"
"""The pattern of lines that are like none of the :data:`MAX_PATTERNS`."""
MAX_PATTERNS: Final = 500
MAX_CHARS: Final = 200
MAX_WORDS: Final = 32
SIMILAR_RATIO: Final = 0.6
"""Of the words of a line that must be those of the pattern."""
_KNOWN_SHAPES: Final = 4096
_ANY: Final = "<*>"
_VARIABLE: Final = re.compile(
    r"""(?<!\w)"[^"]*"|(?<!\w)'[^']*'|(?P<key>[\w.-]+=)(?!\[redacted:)[^\s,;)\]]+|/[\w./-]{3,}|\S*\d\S*"""
)


def shape(line: str) -> str:
    """The first line of a text without what changes from time to time; at most 200 characters and 32 words."""
    first = line.lstrip().partition("\n")[0][: 2 * MAX_CHARS]
    return " ".join(_VARIABLE.sub(_masked, first).split()[:MAX_WORDS])[:MAX_CHARS].rstrip()


def _masked(found: re.Match[str]) -> str:
    return (found["key"] or "") + _ANY


class Patterns:
    """The patterns of one partition.

    Bounded: at most :data:`MAX_PATTERNS`; lines that are like none of them share :data:`OTHER`. They are forgotten with
    the series that carry them.
    """

    def __init__(self, series: Iterable[Series] = ()) -> None:
        """Those that are labels of these series, in their order."""
        self._count = 0
        self._groups: dict[tuple[int, str], list[tuple[str, list[str]]]] = {}
        self._known: dict[str, str] = {}
        for one in series:
            text = one.label(LABEL)
            if text and text != OTHER and text not in self._known:
                self._add(text)

    def __len__(self) -> int:
        return self._count

    def of(self, line: str) -> str:
        """The pattern of a line; "" where nothing is in it."""
        text = shape(line)
        if not text:
            return ""
        known = self._known.get(text)
        if known is None:
            known = self._find(text)
            if len(self._known) >= _KNOWN_SHAPES:
                self._known.clear()
            self._known[text] = known
        return known

    def _find(self, text: str) -> str:
        words = text.split()
        for pattern, others in self._groups.get((len(words), words[0]), ()):
            same = sum(one == other for one, other in zip(words, others, strict=True))
            if same >= SIMILAR_RATIO * len(words):
                return pattern
        if self._count >= MAX_PATTERNS:
            return OTHER
        self._add(text)
        return text

    def _add(self, text: str) -> None:
        words = text.split()
        self._groups.setdefault((len(words), words[0]), []).append((text, words))
        self._known[text] = text
        self._count += 1
