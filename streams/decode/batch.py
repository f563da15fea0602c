"""Our metric batches (``agents.metric/1``): heads by their bytes, bodies and columns by the kernel, a run at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from agents_emitter import events
from streams.decode import kernel, reasons
from streams.decode.column import read_columns
from streams.decode.gather import Chunk, Gather
from streams.decode.head import BODY_KEYS, HEAD_KEYS, SPLIT, Head, HeadCache, parse_head
from streams.decode.headscan import OTHER_HEAD, keys_of, skip_heads
from streams.decode.numbering import Numbering
from streams.decode.numbers import MAX_INT64
from streams.decode.reasons import Refused, show
from streams.domain.block import Block
from streams.domain.columns import BatchId, CumulativePoint

START: Final = b'{"v":1,"schema":"agents.metric/1",'
_START: Final = np.frombuffer(START, np.uint8)
_REQUIRED: Final = ("seq", "base_time_unix_nano", "index", "offset_ns", "value")
_MIN_SAMPLE_BYTES: Final = 6
_STATE_REASONS: Final = {
    kernel.BAD_INDEX: (reasons.BAD_COLUMNS, "series index out of range"),
    kernel.BAD_VALUE: (reasons.NOT_FINITE, "value is NaN or infinite"),
    kernel.BAD_CLOCK: (reasons.BAD_TIME, "time is not positive or beyond 64 bits"),
    kernel.NEGATIVE: (reasons.NEGATIVE_COUNTER, "a counter went down"),
}


class _Samples(NamedTuple):
    """Classified samples; ``number`` is the series' position in its head (uint16 or int64), ``state`` the kernel's."""

    number: NDArray[Any]
    target: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    state: NDArray[np.uint8]
    record: NDArray[np.int32]

    @classmethod
    def empty(cls, count: int) -> _Samples:
        return cls(
            np.empty(count, dtype=np.uint16),
            np.empty(count, dtype=np.int64),
            np.empty(count, dtype=np.int64),
            np.empty(count, dtype=np.float64),
            np.empty(count, dtype=np.uint8),
            np.empty(count, dtype=np.int32),
        )

    def where(self, mask: NDArray[np.bool_]) -> _Samples:
        return _Samples(
            self.number[mask],
            self.target[mask],
            self.time_ns[mask],
            self.value[mask],
            self.state[mask],
            self.record[mask],
        )


class _Waiting(NamedTuple):
    """Batches in columns: position in the run, where the body starts after its head, which head of the run's."""

    record: NDArray[np.int32]
    begin: NDArray[np.int64]
    head: NDArray[np.int64]


class BatchRun:
    """The batches of one run: canonical ones wait for the kernel, all others are read at once."""

    def __init__(self, gather: Gather, block: Block, table: Numbering, cache: HeadCache) -> None:
        self._gather = gather
        self._block = block
        self._table = table
        self._cache = cache
        self._waiting: list[_Waiting] = []
        self._heads: list[Head] = []
        self._places: dict[int, int] = {}

    def take(self, records: Sequence[int]) -> list[int]:
        """Keeps those records that begin with a canonical head for :meth:`flush`; returns the others.

        Head and body are read apart. That equals parsing the whole only if the split lies between two members of the
        outermost object and no key occurs on both sides. The first holds because head and ``}`` parsed as an object of
        exactly the head's keys; the second because a body of other than exactly the body's keys is not taken.
        """
        block, places = self._block, np.array(records, np.int32)
        latest, place_of = self._cache.latest, self._place_of
        keys, of = keys_of(block, places)
        head = np.array([place_of(latest[key]) for key in keys], np.int64)[of]
        begin = self._skip_heads(places, head)
        for at in np.flatnonzero(begin == OTHER_HEAD).tolist():
            found = self._look_for(int(places[at]))
            if found is not None:
                begin[at], head[at] = block.start[places[at]] + len(found.prefix), place_of(found)
        known = begin >= 0
        self._waiting.append(_Waiting(places[known], begin[known], head[known]))
        others: list[int] = places[~known].tolist()
        return others

    def _place_of(self, head: Head | None) -> int:
        """The place in ``_heads``, -1 for none."""
        if head is None:
            return -1
        place = self._places.get(id(head))
        if place is None:
            place = self._places[id(head)] = len(self._heads)
            self._heads.append(head)
        return place

    def _skip_heads(self, places: NDArray[np.int32], head: NDArray[np.int64]) -> NDArray[np.int64]:
        block, prefixes = self._block, [one.prefix for one in self._heads]
        begin = np.empty(len(places), np.int64)
        skip_heads(
            block.text, block.start[places], block.end[places], head, np.frombuffer(b"".join(prefixes), np.uint8),
            np.cumsum([0, *map(len, prefixes)]), _START, reasons.MAX_RECORD_BYTES, begin,
        )  # fmt: skip
        return begin

    def _look_for(self, record: int) -> Head | None:
        """The head of a record that does not begin with the one expected."""
        raw, key = self._block.value(record) or b"", self._block.key(record) or b""
        head = self._cache.latest[key]  # it may have been met meanwhile
        return head if head is not None and raw.startswith(head.prefix) else self._find_head(raw, key)

    def add_object(self, record: int, whole: Mapping[str, Any], size_bytes: int) -> None:
        """A batch parsed as a whole: any order of keys, unknown fields, plain or packed columns."""
        try:
            head = parse_head(whole, self._table)
        except Refused as refused:
            self._gather.reject(record, refused.reason, refused.detail, _claimed(whole.get("count"), size_bytes))
        else:
            self._add_parsed(record, head, whole, size_bytes)

    def flush(self) -> list[int]:
        """Decode the batches that wait; returns those that turned out not to be canonical, to be parsed as a whole."""
        if not self._heads:
            return []
        records, starts, head = _Waiting(*map(np.concatenate, zip(*self._waiting, strict=True)))
        self._waiting.clear()
        rows = np.empty((len(records), kernel.BODY_COLUMNS), dtype=np.int64)
        good = np.empty(len(records), dtype=np.bool_)
        total = kernel.read_bodies(self._block.text, starts, self._block.end[records], rows, good)
        self._unpack(records, head, rows, good, total)
        left = zip(records[~good].tolist(), starts[~good].tolist(), head[~good].tolist(), strict=True)
        return [record for record, begin, at in left if not self._plain(record, begin, self._heads[at])]

    def _plain(self, record: int, begin: int, head: Head) -> bool:
        """A known head with a body of the same keys in another form (plain columns); False for anything else."""
        end = int(self._block.end[record])
        try:
            body = orjson.loads(b'{"seq":' + self._block.text[begin:end].tobytes())
        except orjson.JSONDecodeError:
            return False
        if body.keys() != BODY_KEYS:
            return False
        size = end - int(self._block.start[record])
        self._add_parsed(record, head, body, size)
        return True

    def _unpack(
        self,
        records: NDArray[np.int32],
        head: NDArray[np.int64],
        rows: NDArray[np.int64],
        good: NDArray[np.bool_],
        total: int,
    ) -> None:
        samples = _Samples.empty(total)
        targets, first, width = self._targets()
        read = good.copy()
        odd = kernel.unpack_batches(
            self._block.text, rows, good, records, first[head], width[head], targets, kernel.ALPHABET,
            samples.number, samples.target, samples.time_ns, samples.value, samples.state, samples.record,
        )  # fmt: skip
        if not np.array_equal(read, good):  # base64 that is none: out again, the full parse says why
            samples = samples.where(np.repeat(good[read], rows[read, kernel.COUNT]))
        of = head.tolist()
        producers = [self._heads[at].producer for at in of]
        numbers = (rows[:, kernel.SEQ].tolist(), rows[:, kernel.DROPPED].tolist())
        self._gather.batches += compress(map(BatchId, records.tolist(), producers, *numbers), good.tolist())
        self._keep(
            samples, {r: self._heads[at] for r, at in zip(records.tolist(), of, strict=True)} if odd else {}, odd
        )

    def _targets(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The targets of all heads in one array, where each one's part begins and how long it is."""
        width = np.array([len(head.targets) for head in self._heads], dtype=np.int64)
        return np.concatenate([head.targets for head in self._heads]), np.cumsum(width) - width, width

    def _find_head(self, raw: bytes, key: bytes) -> Head | None:
        at = raw.rfind(SPLIT)
        if at < 0:
            return None
        prefix = raw[: at + len(SPLIT)]
        head = self._cache.heads[prefix]
        if head is None:
            head = self._parse_canonical(prefix)
            if head is None:
                return None
        self._cache.remember(key, head)
        return head

    def _parse_canonical(self, prefix: bytes) -> Head | None:
        try:
            parsed = orjson.loads(prefix[: -len(SPLIT)] + b"}")
            if parsed.keys() != HEAD_KEYS or type(parsed["v"]) is not int or parsed["v"] != events.VERSION:
                return None
            return parse_head(parsed, self._table, prefix) if parsed["schema"] == events.METRIC_SCHEMA else None
        except (orjson.JSONDecodeError, Refused):
            return None

    def _add_parsed(self, record: int, head: Head, body: Mapping[str, Any], size_bytes: int) -> None:
        try:
            self._gather.batches.append(_batch_id(record, head, body))
            self._add_body(record, head, body)
        except Refused as refused:
            self._gather.reject(record, refused.reason, refused.detail, _claimed(body.get("count"), size_bytes))

    def _add_body(self, record: int, head: Head, body: Mapping[str, Any]) -> None:
        base_ns = body["base_time_unix_nano"]
        if type(base_ns) is not int or not 0 <= base_ns <= MAX_INT64:
            raise Refused(reasons.BAD_TIME, f"base_time_unix_nano is {show(base_ns)}")
        numbers, offsets, values, wrong = read_columns(body)
        count = len(numbers)
        state = np.empty(count, dtype=np.uint8)
        target = np.empty(count, dtype=np.int64)
        odd = kernel.classify(numbers, base_ns, head.targets, target, offsets, values, state)
        samples = _Samples(numbers, target, offsets, values, state, np.full(count, record, dtype=np.int32))
        if wrong:
            good = np.ones(count, dtype=np.bool_)
            good[wrong] = False
            samples = samples.where(good)
            detail = f"value is {show(body['value'][wrong[0]])}"
            self._gather.reject(record, reasons.BAD_TYPE, detail, len(wrong))
        self._keep(samples, {record: head}, odd)

    def _keep(self, samples: _Samples, heads: Mapping[int, Head], odd: int) -> None:
        if odd:
            self._cumulatives(samples.where(samples.state == kernel.RUNNING_TOTAL))
            self._reject(samples.where(samples.state > kernel.RUNNING_TOTAL), heads)
            samples = samples.where(samples.state == kernel.OK)
        slot = (samples.target >> kernel.FLAG_BITS).astype(np.int32)
        self._gather.chunks.append(Chunk(slot, samples.time_ns, samples.value, samples.record))

    def _reject(self, samples: _Samples, heads: Mapping[int, Head]) -> None:
        rows = zip(
            samples.record.tolist(),
            samples.state.tolist(),
            samples.number.tolist(),
            samples.target.tolist(),
            strict=True,
        )
        for record, state, index, target in rows:
            if state == kernel.BAD_SERIES:
                self._gather.reject(record, reasons.REASONS[-1 - target], heads[record].details.get(index, ""))
            else:
                self._gather.reject(record, *_STATE_REASONS[state])

    def _cumulatives(self, samples: _Samples) -> None:
        slot = samples.target >> kernel.FLAG_BITS
        rows = zip(
            samples.record.tolist(), slot.tolist(), samples.time_ns.tolist(), samples.value.tolist(), strict=True
        )
        # Our batches do not say when a total began: start 0 is "unknown", only a fall of the value is a reset.
        self._gather.cumulatives += [CumulativePoint(at, slot, time, 0, value) for at, slot, time, value in rows]


def _batch_id(record: int, head: Head, body: Mapping[str, Any]) -> BatchId:
    for field in _REQUIRED:
        if field not in body:
            raise Refused(reasons.MISSING_FIELD, field)
    seq, dropped = body["seq"], body.get("dropped_total", 0)
    if not all(type(number) is int and 0 <= number <= MAX_INT64 for number in (seq, dropped)):
        raise Refused(reasons.BAD_TYPE, f"seq is {show(seq)}, dropped_total {show(dropped)}")
    return BatchId(record, head.producer, seq, dropped)


def _claimed(count: object, size_bytes: int) -> int:
    """How many events a batch says it holds, if that many could fit its bytes; else 1."""
    if type(count) is int and 0 < count <= size_bytes // _MIN_SAMPLE_BYTES:
        return count
    return 1
