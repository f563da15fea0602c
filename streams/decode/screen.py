"""Numba: which records may hold something that redaction replaces.

Spans are decoded by compiled code, which redaction in Python would make ten times slower. So all bytes of a record are
looked through for the words without which no rule of :mod:`agents_emitter.redaction` finds anything, and only records
that hold one are read the slow way and redacted. That one is held says little; tests/unit/decode/test_screen.py holds
that one is, wherever a rule finds something.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.spankeys import ATTRIBUTES, FIELDS
from streams.decode.wire import read_field
from streams.domain.kernel import kernel

ANY: Final = 1
"""A word that is enough wherever it stands."""
ENDED: Final = 2
"""One that must not go on as a longer word: ``token``, but not ``token_type``, ``tokens`` or ``token.count``."""
BEGUN: Final = 4
"""One before which no letter or digit may stand: ``sk-``, but not ``task-``."""

_KEYS: Final = tuple(
    f"{kind}{separator}key"
    for kind in ("private", "api", "access", "secret", "signing", "encryption")
    for separator in ("", ".", "_", " ", "-")
)
WORDS: Final[dict[int, tuple[str, ...]]] = {
    ANY: (
        *("password", "passwd", "passphrase", "passcode", "pwd", "secret", "credential", *_KEYS),
        *("bearer ", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "aiza"),
        *("k_live_", "k_test_", "private key-", "eyj"),
        *("input.messages", "output.messages", "system_instructions", "call.arguments", "call.result"),
        *("tool.definitions", "retrieval.", "event.content", "request.instructions", "gen_ai.prompt.", "llm.prompt"),
        *("gen_ai.completion.", "llm.completion", "llm.input_messages", "llm.output_messages", "input.value"),
        *("output.value", "entity.input", "entity.output", "tool.parameters", "ai.prompt", "ai.response.text"),
        *(
            "ai.response.object",
            "ai.toolcall.",
            "input_messages",
            "output_messages",
            "tool_arguments",
            "tool_args",
            "tool_input",
        ),
        *("tool_output", "tool_result", "\\u002", "\\u003", "\\u004", "\\u005", "\\u006", "\\u007"),
    ),
    ENDED: (
        *("token", "authorization", "cookie", "cookies", "otp", "pin", "cvv", "cvc", "ssn"),
        *("prompt", "prompts", "completion", "completions"),
    ),
    BEGUN: ("sk-", "sg.", "hf_", "npm_", "pypi-"),
}

_AT, _DOT, _HYPHEN, _SPACE, _COLON, _SLASH, _BACKSLASH, _U = 64, 46, 45, 32, 58, 47, 92, 117
_LEAST_DIGITS, _MOST_DIGITS = 13, 19
_OTHER: Final = 15
_SEARCHED_BYTES: Final = 256
"""So far before an ``@`` is looked for the begin of an address."""

RESOURCE_NAMES: Final = (
    *("service.name", "service.version", "service.instance.id", "host.name", "deployment.environment.name"),
    *("agents.type", "gen_ai.tool.type", "gen_ai.request.temperature", "gen_ai.response.finish_reasons"),
)
"""Further names that are common in spans, beside those that decode knows."""


class _Tree(NamedTuple):
    """The words as a tree.

    ``letters`` uint8[256]: number of a letter, 0 for bytes of no word. ``following`` uint16[s, 64]: the state after a
    letter, 0: no word goes on so. ``kinds`` uint8[s].
    """

    letters: NDArray[np.uint8]
    following: NDArray[np.uint16]
    kinds: NDArray[np.uint8]


def _tree(words: list[tuple[bytes, int]]) -> _Tree:
    letters = np.zeros(256, np.uint8)
    for number, byte in enumerate(sorted({byte for word, _ in words for byte in word}), 1):
        letters[byte] = letters[ord(chr(byte).upper())] = number
    states: list[tuple[NDArray[np.uint16], int]] = [(np.zeros(64, np.uint16), 0)]
    for word, kind in words:
        at = 0
        for byte in word:
            number = int(letters[byte])
            if not states[at][0][number]:
                states[at][0][number] = len(states)
                states.append((np.zeros(64, np.uint16), 0))
            at = int(states[at][0][number])
        states[at] = (states[at][0], states[at][1] | kind)
    kinds = np.array([kind for _, kind in states], np.uint8)
    return _Tree(letters, np.stack([following for following, _ in states]), kinds)


def _class(byte: int) -> int:
    """Five bits of a byte: what a word, an address or a card may begin with is told apart well enough by them."""
    if chr(byte).isascii() and chr(byte).isalpha():
        return byte & 31
    for number, group in enumerate((b"23456", b"01789", b"@", b".-\\", b"_ "), 27):
        if byte in group:
            return number
    return 0


def _common(classes: NDArray[np.uint8]) -> Counter[tuple[int, ...]]:
    """How often three classes follow each other in names that nearly every span has."""
    texts = [classes[list(f'"{name}"'.encode())].tolist() for name in (*ATTRIBUTES, *FIELDS, *RESOURCE_NAMES)]
    return Counter(three for text in texts for three in zip(text, text[1:], text[2:], strict=False))


def _places(words: list[tuple[bytes, int]], classes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """uint16[2^15]: what may be found where bytes of three classes stand, looked at from the third.

    Bit i: the three are those from place i on of a word. Of each word the ones that common names have least are taken:
    its first three stand in one of sixteen places of usual spans (``gen``, ``inp``). The highest bit: an ``@``, or a
    digit of a card's begin behind no letter or digit, or behind an escape of JSON. A word with another one in it that
    is enough is left out.
    """
    found = np.zeros((32, 32, 32), np.uint16)
    common = _common(classes)
    enough = [word for word, kind in words if kind == ANY]
    for word, _ in words:
        if any(other in word and other != word for other in enough):
            continue
        threes = [tuple(classes[list(word[at : at + 3])].tolist()) for at in range(min(len(word) - 2, _OTHER))]
        at = min(range(len(threes)), key=lambda place: common[threes[place]])
        found[threes[at]] |= np.uint16(1 << at)
    other = np.uint16(1 << _OTHER)
    found[:, :, classes[_AT]] |= other
    alone = [number for number in range(32) if not 1 <= number <= 28]
    found[:, alone, classes[ord("2")]] |= other
    found[classes[_BACKSLASH], classes[list(b"bfnrt")], classes[ord("2")]] |= other
    found[classes[_BACKSLASH], classes[_U], :] |= other
    return found.reshape(-1)


_ALL: Final = [(word.encode(), kind) for kind, group in WORDS.items() for word in group]
_MADE: Final = _tree(_ALL)
# Constants of the compiled code: passing them around would cost more than looking a byte up.
_LETTERS: Final = _MADE.letters
_FOLLOWING: Final = _MADE.following
_KINDS: Final = _MADE.kinds
_CLASSES: Final = np.array([_class(byte) for byte in range(256)], np.uint8)
_OFFSETS: Final = _places(_ALL, _CLASSES)
_PLACES: Final = _OFFSETS != 0
"""bool[2^15], 32 KB: what the nearest cache of a core holds."""


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
def _goes_on(byte: int) -> bool:
    """Whether the word before it goes on. Capitals and ``j`` also are tags of protobuf, which follow a name there."""
    return (97 <= byte <= 122 and byte != 106) or byte in (95, _DOT, _HYPHEN)


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
        if kind & ANY or (kind & ENDED and (at + 1 == end or not _goes_on(buf[at + 1]))):
            return True
        if kind & BEGUN and _stands_first(buf, begin, first):
            return True
    return False


@kernel
def _suspicious(buf: Any, begin: int, end: int) -> bool:
    key = np.uint64(0)
    for at in range(begin, end):
        byte = buf[np.uint64(at)]  # unsigned: nothing is counted from the end
        key = ((key << np.uint64(5)) | np.uint64(_CLASSES[byte])) & np.uint64(0x7FFF)
        if _PLACES[key] and _is_found(buf, begin, at, end, _OFFSETS[key]):
            return True
    return False


@kernel
def _is_found(buf: Any, begin: int, at: int, end: int, offsets: int) -> bool:
    """Whether there is something for which the byte at ``at`` is the place to look; ``offsets``: of the three bytes."""
    byte = buf[at]
    if byte == _AT:
        return _is_address(buf, begin, at, end)
    first, rest = at - 2, np.int64(offsets) & ((1 << _OTHER) - 1)
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
