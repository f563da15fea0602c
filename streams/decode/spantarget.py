"""Numba: where the compiled decoders of spans write, and what both of them decide at a span's end."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode import spankeys
from streams.decode.spankeys import (
    ENDS,
    EXCEPTION,
    GEN_AI,
    INPUT_TOKENS,
    LAST_TEXT,
    OLDER,
    OLDER_PROVIDER,
    OUTPUT_TOKENS,
    PLACE,
    PROVIDER,
    SEEN,
    SPAN_KIND,
    WORD,
    name_number,
)
from streams.domain.jsonbytes import put_id, put_integer, put_word
from streams.domain.kernel import kernel
from streams.domain.texts import FULL, TextArrays, intern_text

OK: Final = 0
RECORD: Final = -1
SPAN: Final = -2
GROW: Final = -3
"""Outcomes below 0: the record, or this span alone, is for the slow way (which knows every reason to refuse); the
target has no room: more is needed, and the record is read again."""

SLACK_BYTES: Final = 4096
"""Room for what a span's body has beyond its bytes: field names, numbers, empty events."""

MAX_NAME_BYTES: Final = 512
MAX_MESSAGE_BYTES: Final = 256
MAX_ITEMS: Final = 32
STATUS_ERROR: Final = 2

LINK: Final = 0
OWN: Final = 1
EVENT: Final = 2
"""Whose attributes are read: only a span's own have a meaning, and the type of an event's exception."""

# of a span's body, whatever it came in
WORD_NAME: Final = np.frombuffer(b'"name":', np.uint8)
WORD_ATTRIBUTES: Final = np.frombuffer(b'"attributes":{', np.uint8)
WORD_EVENTS: Final = np.frombuffer(b'"events":[', np.uint8)
WORD_LINKS: Final = np.frombuffer(b'"links":[', np.uint8)
WORD_STATUS: Final = np.frombuffer(b'"status":{"code":', np.uint8)
WORD_MESSAGE: Final = np.frombuffer(b',"message":', np.uint8)
WORD_TIME: Final = np.frombuffer(b'{"timeUnixNano":', np.uint8)
_GEN_AI: Final = np.frombuffer(b"gen_ai.", np.uint8)
_SPAN_ID: Final = np.frombuffer(b'"spanId":"', np.uint8)
_PARENT: Final = np.frombuffer(b'","parentSpanId":"', np.uint8)
_KIND: Final = np.frombuffer(b',"kind":', np.uint8)
_START: Final = np.frombuffer(b',"startTimeUnixNano":', np.uint8)
_END: Final = np.frombuffer(b',"endTimeUnixNano":', np.uint8)


class Target(NamedTuple):
    """Tables that a run's spans are written to.

    ``rows`` SPAN[n]; ``bodies`` uint8[b]; ``blocks`` int64[k, 3]: record, begin and end of each resource's bytes; a
    row's ``resource`` is its block. ``heads`` int64[r, 4]: record, number of the producer's text, seq, dropped_total.
    ``filled`` int64[4]: rows, bytes, blocks, heads so far. ``known`` int64[KNOWN]: scratch. ``other_error``: number of
    the text for a failure without a type.

    It is passed to few functions: at each call all of its arrays are copied.
    """

    rows: NDArray[Any]
    bodies: NDArray[np.uint8]
    blocks: NDArray[np.int64]
    heads: NDArray[np.int64]
    filled: NDArray[np.int64]
    known: NDArray[np.int64]
    texts: TextArrays
    other_error: int


@kernel
def clear(known: Any) -> None:
    """Empties the scratch array."""
    for i in range(known.shape[0]):
        known[i] = 0


@kernel
def place_of(known: Any, buf: Any, begin: int, end: int, number: int, owner: int) -> int:
    """What the name of an attribute means: its place (with OLDER), 0: nothing. ``number``: of the name."""
    place = PLACE[number]
    if owner != OWN:
        return EXCEPTION if owner == EVENT and place == EXCEPTION else 0
    if end - begin > 7 and buf[begin] == 103 and _begins(buf, begin):
        known[GEN_AI] = 1
    if place == EXCEPTION:
        return 0
    if (place & OLDER) != 0 and place & 255 != spankeys.DATABASE:
        known[GEN_AI] = 1
    return place


@kernel
def _begins(buf: Any, begin: int) -> bool:
    for i in range(_GEN_AI.shape[0]):  # noqa: SIM110 - compiled
        if buf[begin + i] != _GEN_AI[i]:
            return False
    return True


@kernel
def first_time(known: Any, place: int) -> bool:
    """Whether this place of the scratch array is taken for the first time; takes it."""
    bit = np.int64(1) << (place & 255)
    if known[SEEN] & bit != 0:
        return False
    known[SEEN] |= bit
    return True


@kernel
def keep_text(known: Any, place: int, buf: Any, begin: int, end: int) -> bool:
    """Remembers where the text of an attribute of meaning is; False: it is for the slow way."""
    slot = place & 255
    if slot in (SPAN_KIND, INPUT_TOKENS, OUTPUT_TOKENS):
        return False
    if slot == PROVIDER and _older_provider(buf, begin, end):
        return False
    if slot != EXCEPTION or begin != end:
        known[slot] = begin
        known[slot + ENDS] = end
    return True


@kernel
def _older_provider(buf: Any, begin: int, end: int) -> bool:
    """Whether it may be one: a text that has capitals is looked at again."""
    for i in range(begin, end):
        if 65 <= buf[i] <= 90:
            return True
    return OLDER_PROVIDER[name_number(buf, begin, end)]


@kernel
def keep_integer(known: Any, place: int, value: int) -> bool:
    """Remembers the number of an attribute of meaning."""
    slot = place & 255
    if slot != INPUT_TOKENS and slot != OUTPUT_TOKENS:
        return False
    known[slot] = value if 0 <= value < (1 << 53) else 0
    return True


@kernel
def operation_is_hidden(known: Any, buf: Any, begin: int, end: int) -> bool:
    """Whether the operation must be told from the span's name or from a foreign attribute."""
    if known[SEEN] & (1 << spankeys.OPERATION) != 0:
        return False
    if known[SEEN] & (1 << SPAN_KIND) != 0:
        return True
    if known[GEN_AI] == 0:
        return False
    at = begin
    while at < end and buf[at] != 32:
        at += 1
    return WORD[name_number(buf, begin, at)]


@kernel
def put_tail(out: Any, at: int, row: Any) -> int:
    """The last fields of a body, after the name and its comma."""
    at = put_word(out, at, _SPAN_ID)
    at = put_id(out, at, row.span)
    at = put_word(out, at, _PARENT)
    if row.parent != 0:
        at = put_id(out, at, row.parent)
    out[at] = 34
    at = put_word(out, at + 1, _KIND)
    at = put_integer(out, at, row.kind)
    at = put_word(out, at, _START)
    at = put_integer(out, at, row.start_ns)
    at = put_word(out, at, _END)
    return put_integer(out, at, row.end_ns)


@kernel
def end_span(target: Target, row: Any, buf: Any, name: int, name_end: int, at: int) -> int:
    """Gives the texts their numbers and takes the row, whose body ends at ``at``; OK or GROW."""
    known, texts = target.known, target.texts
    for slot in range(1, LAST_TEXT + 1):
        if known[slot] != known[slot + ENDS]:
            known[slot] = intern_text(texts, buf, known[slot], known[slot + ENDS])
        else:
            known[slot] = 0
    known[EXCEPTION] = intern_text(texts, buf, known[EXCEPTION], known[EXCEPTION + ENDS])
    row.name = intern_text(texts, buf, name, name_end)
    if row.name == FULL or known[EXCEPTION] == FULL:
        return GROW
    for slot in range(1, LAST_TEXT + 1):
        if known[slot] == FULL:
            return GROW
    _columns(known, row, target.other_error)
    row.body = target.filled[1]
    row.body_bytes = at - row.body
    target.filled[0] += 1
    target.filled[1] = at
    return OK


@kernel
def _columns(known: Any, row: Any, other_error: int) -> None:
    row.operation = known[spankeys.OPERATION]
    row.provider = known[PROVIDER]
    row.model = known[spankeys.REQUEST_MODEL]
    if row.model == 0:
        row.model = known[spankeys.RESPONSE_MODEL]
    row.agent_name = known[spankeys.AGENT_NAME]
    row.agent_id = known[spankeys.AGENT_ID]
    row.tool = known[spankeys.TOOL]
    row.conversation = known[spankeys.CONVERSATION]
    row.database = known[spankeys.DATABASE]
    row.input_tokens = known[INPUT_TOKENS]
    row.output_tokens = known[OUTPUT_TOKENS]
    row.error = 0
    if row.status == STATUS_ERROR:
        row.error = known[spankeys.ERROR]
        if row.error == 0:
            row.error = known[EXCEPTION]
        if row.error == 0:
            row.error = other_error
    row.slow = 0
