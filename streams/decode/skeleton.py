"""Skeletons of single events: a record parsed in full once stands for all that differ in value and time only.

Why it is exact: a skeleton is learned only after two trial parses, with other numbers put in its holes, gave an event
that differs in exactly ``value`` and ``time_unix_nano`` and has exactly those numbers there. So each hole is a whole
JSON number token, and any other number token in its place parses to the same event with that number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.decode import matcher

_TRIALS: Final = ((b"17", b"1234567"), (b"-2.5", b"7654321"))
_COLUMNS: Final = 6
_MIN_ARENA_WORDS: Final = 8_192
_UNCACHED_KEYS: Final = frozenset({"seq", "producer"})


class Matches(NamedTuple):
    """What the table knew of a run: int64[r] targets (``matcher.NO_MATCH``) and times, values of the matched ones."""

    target: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]


class Skeletons:
    """The table of known skeletons.

    Bounded by ``count`` skeletons and ``size_bytes`` of their text; when full it is emptied and learned again (a parse
    each), which counts nothing and loses nothing.
    """

    def __init__(self, count: int = 20_000, size_bytes: int = 16 * 1_048_576) -> None:
        self._count = max(1, count)
        self._max_words = size_bytes // 8
        self._places = 1 << (2 * self._count - 1).bit_length()
        self.clear()

    def clear(self) -> None:
        """Forget all skeletons."""
        self._place = np.zeros((0, _COLUMNS), dtype=np.int64)
        self._arena = np.zeros(0, dtype=np.uint64)
        self._words = 0
        self._known = 0

    def __len__(self) -> int:
        return self._known

    def match(self, text: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> Matches:
        """Values and times of those records whose skeleton is known. Needs at least one record and one skeleton.

        Shapes: ``text`` uint8, in which the records lie; ``start`` and ``end`` int64[r], -1 for one without a value.
        """
        sizes = end - start
        target = np.empty(len(start), dtype=np.int64)
        times = np.empty(len(start), dtype=np.int64)
        numbers = np.empty(int(sizes.sum()) + len(start) + 2, dtype=np.uint8)
        scratch = _scratch(int(sizes.max()))
        filled = matcher.match(text, start, end, self._place, self._arena, scratch, target, times, numbers)
        values = orjson.loads(numbers[:filled].tobytes())
        return Matches(target, times, np.array(values, dtype=np.float64))

    def learn(self, raw: bytes, event: dict[str, Any], resolve: Callable[[dict[str, Any]], int]) -> None:
        """Remember the skeleton of a record, decoded to ``event``, if that is exact; ``resolve`` names its target."""
        if not _UNCACHED_KEYS.isdisjoint(event):
            return
        text = np.frombuffer(raw, dtype=np.uint8)
        holes = np.zeros(4, dtype=np.int64)
        if not matcher.find_holes(text, 0, len(raw), holes):
            return
        words = _scratch(len(raw))
        size = int(matcher.squeeze(text, 0, len(raw), holes, words.view(np.uint8)))
        count = (size + 7) // 8
        if count > self._max_words:
            return
        self._make_room(count)
        value, time = matcher.positions(holes, 0)
        code = matcher.hash_words(words, count, size, value, time)
        found = matcher.find_slot(words, size, value, time, code, self._place, self._arena)
        if found >= 0 or not _exact(raw, event, holes.tolist()):
            return
        self._arena[self._words : self._words + count] = words[:count]
        self._place[-1 - found] = (code, self._words, size, value, time, resolve(event))
        self._words += count
        self._known += 1

    def _make_room(self, words: int) -> None:
        if self._known >= self._count or self._words + words > self._max_words:
            self.clear()
        if not len(self._place):
            self._place = np.zeros((self._places, _COLUMNS), dtype=np.int64)
        if self._words + words > len(self._arena):
            grown = np.zeros(max(_MIN_ARENA_WORDS, 2 * len(self._arena), self._words + words), dtype=np.uint64)
            grown[: self._words] = self._arena[: self._words]
            self._arena = grown


def _scratch(size_bytes: int) -> NDArray[np.uint64]:
    return np.empty(size_bytes // 8 + 2, dtype=np.uint64)


def _exact(raw: bytes, event: dict[str, Any], holes: list[int]) -> bool:
    for number, moment in _TRIALS:
        pieces = [(holes[0], holes[1], number)]
        if holes[2]:
            pieces.append((holes[2], holes[3], moment))
        trial = raw
        for start, end, text in sorted(pieces, reverse=True):
            trial = trial[:start] + text + trial[end:]
        expected = dict(event)
        expected["value"] = orjson.loads(number)
        if holes[2]:
            quoted = raw[holes[2] - 1 : holes[2]] == b'"'
            expected["time_unix_nano"] = moment.decode() if quoted else int(moment)
        try:
            if orjson.loads(trial) != expected:
                return False
        except orjson.JSONDecodeError:
            return False
    return True
