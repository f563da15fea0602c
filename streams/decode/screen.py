"""Numba: which records may hold something that redaction replaces.

Spans are decoded by compiled code, which redaction in Python would make ten times slower. So all bytes of a record are
looked through for the words without which no rule of :mod:`agents_emitter.redaction` finds anything, and only records
that hold one are read the slow way and redacted. That one is held says little; tests/unit/decode/test_screen.py holds
that one is, wherever a rule finds something.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.decode.sieve import SIZE, WIDTH, lowest_bit, sift
from streams.decode.wire import read_field
from streams.decode.words import ANY, BEGUN, CLASSES, ENDED, GOES_ON, OFFSETS, OTHER, PLACES, SIEVE, TREE
from streams.domain.kernel import kernel, large_kernel

_AT, _DOT, _HYPHEN, _SPACE, _COLON, _SLASH, _BACKSLASH, _U = 64, 46, 45, 32, 58, 47, 92, 117
_LEAST_DIGITS, _MOST_DIGITS = 13, 19
_SEARCHED_BYTES: Final = 256
"""So far before an ``@`` is looked for the begin of an address."""

_LETTERS: Final = TREE.letters
_FOLLOWING: Final = TREE.following
_KINDS: Final = TREE.kinds


@kernel
def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@kernel
def _is_letter(byte: int) -> bool:
    return 65 <= (byte & 0xDF) <= 90


@kernel
def _is_word(byte: int) -> bool:
    """A character of a name, or of any other alphabet in UTF-8."""
    return _is_letter(byte) or _is_digit(byte) or byte == 95 or byte >= 128


@kernel
def _is_address(buf: Any, begin: int, at: int, end: int) -> bool:
    """Whether the ``@`` is one of an e-mail address, or ends the user of a URL."""
    before = buf[at - 1] if at > begin else 0
    if not (_is_word(before) or before in (_DOT, _HYPHEN, 37, 43)):
        return before > _SPACE and _ends_user(buf, begin, at)
    place = at + 1
    while place < end and (_is_word(buf[place]) or buf[place] == _HYPHEN):
        place += 1
    if place > at + 1 and place + 1 < end and buf[place] == _DOT and _is_word(buf[place + 1]):
        return True
    return _ends_user(buf, begin, at)


@kernel
def _ends_user(buf: Any, begin: int, at: int) -> bool:
    least = max(begin + 2, at - _SEARCHED_BYTES)
    place = at - 1
    while place >= least and buf[place] > _SPACE:
        if buf[place] == _SLASH and buf[place - 1] == _SLASH and buf[place - 2] == _COLON:
            return True
        place -= 1
    return False


@kernel
def _stands_first(buf: Any, begin: int, first: int) -> bool:
    """Whether no letter or digit stands before; those of an escape of JSON (a new line, any character) are none."""
    if first == begin or not (_is_letter(buf[first - 1]) or _is_digit(buf[first - 1])):
        return True
    if first - 2 >= begin and buf[first - 2] == _BACKSLASH:
        return True
    return first - 6 >= begin and buf[first - 6] == _BACKSLASH and buf[first - 5] == _U


@kernel
def _begins_card(buf: Any, begin: int, first: int, end: int) -> bool:
    """Whether digits in groups, from here to one group's end, have a card's length and checksum."""
    if not _stands_first(buf, begin, first):
        return False
    even = odd = digits = 0  # sums with every second digit doubled, for an even and an odd number of digits
    at = first
    while at < end and digits < _MOST_DIGITS:
        if not _is_digit(buf[at]):
            if buf[at] not in (_SPACE, _HYPHEN) or not _is_digit(buf[at - 1]):
                return False
            at += 1
            continue
        digit = int(buf[at]) - 48
        doubled = 2 * digit - 9 if digit > 4 else 2 * digit
        if digits & 1:
            even, odd = even + digit, odd + doubled
        else:
            even, odd = even + doubled, odd + digit
        digits += 1
        at += 1
        last = at == end or not _is_digit(buf[at])
        if digits >= _LEAST_DIGITS and last and (odd if digits & 1 else even) % 10 == 0:
            return True
    return False


@kernel
def _begins_word(buf: Any, begin: int, first: int, end: int) -> bool:
    """Whether one of the words stands here, in a place where it counts."""
    state = np.uint16(0)
    for at in range(first, end):
        state = _FOLLOWING[state, _LETTERS[buf[at]]]
        if state == 0:
            return False
        kind = _KINDS[state]
        if kind & ANY or (kind & ENDED and (at + 1 == end or not GOES_ON[buf[at + 1]])):
            return True
        if kind & BEGUN and _stands_first(buf, begin, first):
            return True
    return False


@large_kernel
def _suspicious(buf: Any, begin: int, end: int) -> bool:
    """Whether there is something in the text; places where the sieve finds nothing are not looked at."""
    if WIDTH == 0 or end - begin < WIDTH + SIZE:
        return looked_through(buf, begin, end, end)
    last = end - WIDTH - SIZE + 1
    at = begin
    while at < last + WIDTH:
        at = min(at, last)
        bits = sift(buf, np.int64(at), SIEVE)
        while bits != np.uint64(0):
            if _found_at(buf, begin, at + lowest_bit(bits) + 2, end):
                return True
            bits &= bits - np.uint64(1)
        at += WIDTH
    # two places have less than three bytes up to them, and the last one no fourth
    return looked_through(buf, begin, begin + 2, end) or _found_at(buf, begin, end - 1, end)


@kernel
def looked_through(buf: Any, begin: int, until: int, end: int) -> bool:
    """Looks at each place before ``until``, of a text that ends at ``end``."""
    key = np.uint64(0)
    for at in range(begin, until):
        byte = buf[np.uint64(at)]  # unsigned: nothing is counted from the end
        key = ((key << np.uint64(5)) | np.uint64(CLASSES[byte])) & np.uint64(0x7FFF)
        if PLACES[key] and _is_found(buf, begin, at, end, OFFSETS[key]):
            return True
    return False


@kernel
def _found_at(buf: Any, begin: int, at: int, end: int) -> bool:
    """Looks at a place that is not one of the first two."""
    place = np.uint64(at)
    key = np.uint64(CLASSES[buf[place - np.uint64(2)]]) << np.uint64(10)
    key |= np.uint64(CLASSES[buf[place - np.uint64(1)]]) << np.uint64(5)
    key |= np.uint64(CLASSES[buf[place]])
    return PLACES[key] and _is_found(buf, begin, at, end, OFFSETS[key])


@large_kernel
def _is_found(buf: Any, begin: int, at: int, end: int, offsets: int) -> bool:
    """Whether there is something for which the byte at ``at`` is the place to look; ``offsets``: of the three bytes."""
    byte = buf[at]
    if byte == _AT:
        return _is_address(buf, begin, at, end)
    first, rest = at - 2, np.int64(offsets) & ((1 << OTHER) - 1)
    while rest != 0 and first >= begin:
        if rest & 1 and _begins_word(buf, begin, first, end):
            return True
        first, rest = first - 1, rest >> 1
    if at >= begin + 2 and buf[at - 2] == _BACKSLASH and buf[at - 1] == _U:  # the digits behind an escape
        at += 4
    return at < end and 50 <= buf[at] <= 54 and _begins_card(buf, begin, at, end)


@kernel
def suspects(buf: Any, bounds: Any, found: Any) -> None:
    """Says which records must be read the slow way.

    Args:
        buf: uint8[b], where all records are.
        bounds: int64[2, r], where each begins and ends.
        found: bool[r], filled here.
    """
    for record in range(found.shape[0]):
        found[record] = _suspicious(buf, bounds[0, record], bounds[1, record])


@kernel
def acquit(buf: Any, bounds: Any, tried: Any, found: Any) -> None:
    """Looks again at suspected OTLP requests of spans, without the random bytes of ids and times.

    They are no text, and look like a word or a card in one of a hundred records of a hundred spans.

    Args:
        buf: as for :func:`suspects`.
        bounds: the same.
        tried: uint8[r], not 0 for records that are no such requests.
        found: bool[r], changed here.
    """
    for record in range(found.shape[0]):
        if found[record] and tried[record] == 0 and buf[bounds[0, record]] == _RESOURCE_SPANS:
            found[record] = _suspicious_request(buf, bounds[0, record], bounds[1, record])


_RESOURCE_SPANS, _SCOPE_SPANS, _SPAN = 10, 18, 18
_TRACE_ID, _SPAN_ID, _PARENT_ID, _START, _END = 10, 18, 34, 57, 65
"""Tags, opentelemetry-proto ``trace/v1/trace.proto``."""


@kernel
def _suspicious_request(buf: Any, begin: int, end: int) -> bool:
    """What is not as expected is looked through as it stands."""
    edge = at = begin
    while at < end:
        tag, first, last, at = read_field(buf, at, end)
        if at < 0:
            return True
        while tag == _RESOURCE_SPANS and first < last:
            inner, begin_spans, end_spans, first = read_field(buf, first, last)
            if first < 0:
                return True
            while inner == _SCOPE_SPANS and begin_spans < end_spans:
                kind, a, b, begin_spans = read_field(buf, begin_spans, end_spans)
                if begin_spans < 0:
                    return True
                if kind == _SPAN:
                    edge = _after_numbers(buf, a, b, edge)
                    if edge < 0:
                        return True
    return _suspicious(buf, edge, end)


@kernel
def _after_numbers(buf: Any, begin: int, end: int, edge: int) -> int:
    """Looks through all from ``edge`` to the last id or time of a span.

    Returns:
        The end of that, -1 where something is found.
    """
    at = begin
    while at < end:
        tag, first, last, at = read_field(buf, at, end)
        if at < 0:
            return -1
        size = last - first
        is_id = (tag == _TRACE_ID and size == 16) or (tag in (_SPAN_ID, _PARENT_ID) and size == 8)
        if is_id or tag in (_START, _END):
            if _suspicious(buf, edge, first):
                return -1
            edge = last
    return edge
