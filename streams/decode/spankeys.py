"""Names that decode of spans knows: attributes with a meaning, fields of our JSON, first words of span names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain import conventions
from streams.domain.jsonbytes import same_bytes
from streams.domain.kernel import kernel
from streams.domain.texts import TextArrays, Texts, hash_of

SEEN, OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, AGENT_NAME, AGENT_ID, TOOL = range(8)
CONVERSATION, DATABASE, ERROR, WORKFLOW, INPUT_TOKENS, OUTPUT_TOKENS, EXCEPTION, SPAN_KIND, GEN_AI = range(8, 17)
ENDS: Final = 17
REAL: Final = ENDS + GEN_AI
KNOWN: Final = REAL + 1
"""Places in the scratch array of one span: where the text of each attribute begins (``ENDS`` further: where it ends) or
its count; ``SEEN`` is a bit set of places, ``GEN_AI`` whether any name begins with ``gen_ai.``, ``REAL`` the bits of a
number."""

LAST_TEXT: Final = WORKFLOW

ATTRIBUTES: Final[Mapping[str, int]] = {
    conventions.OPERATION: OPERATION,
    conventions.PROVIDER: PROVIDER,
    conventions.REQUEST_MODEL: REQUEST_MODEL,
    conventions.RESPONSE_MODEL: RESPONSE_MODEL,
    conventions.AGENT_NAME: AGENT_NAME,
    conventions.AGENT_ID: AGENT_ID,
    conventions.TOOL_NAME: TOOL,
    conventions.CONVERSATION_ID: CONVERSATION,
    conventions.DATABASE_SYSTEM: DATABASE,
    conventions.ERROR_TYPE: ERROR,
    conventions.WORKFLOW_NAME: WORKFLOW,
    conventions.INPUT_TOKENS: INPUT_TOKENS,
    conventions.OUTPUT_TOKENS: OUTPUT_TOKENS,
    "exception.type": EXCEPTION,
    "openinference.span.kind": SPAN_KIND,
    "traceloop.span.kind": SPAN_KIND,
}

FIELDS: Final = (
    *("traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"),
    *("status", "attributes", "events", "links", "phase", "code", "message", "timeUnixNano", "droppedAttributesCount"),
)
"""Field i has bit i of a field set."""


OLDER: Final = 1 << 8
"""Bit of an attribute's place that says: under an older name."""


class _Names(NamedTuple):
    """Tables over the numbers of names; 0 is no name of ours."""

    table: TextArrays
    place: NDArray[np.int64]
    current: NDArray[np.int64]
    field: NDArray[np.int64]
    word: NDArray[np.bool_]
    provider: NDArray[np.bool_]


def _names() -> _Names:
    texts = Texts(256, 8_192)
    attributes = {name: (place, name) for name, place in ATTRIBUTES.items()}
    attributes |= {old: (ATTRIBUTES[new] | OLDER, new) for old, new in conventions.RENAMED.items()}
    # Sorted: the numbers become constants of compiled code, which another process loads.
    operations = sorted(conventions.NAMED_OPERATIONS)
    numbers = {name: texts.number(name) for name in (*attributes, *FIELDS, *operations, *conventions.PROVIDER_RENAMED)}
    size = len(texts)
    place, current = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for name, (code, today) in attributes.items():
        place[numbers[name]], current[numbers[name]] = code, numbers[today]
    field = np.full(size, -1, np.int64)
    for bit, name in enumerate(FIELDS):
        field[numbers[name]] = bit
    word, provider = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    word[[numbers[name] for name in conventions.NAMED_OPERATIONS]] = True
    provider[[numbers[name] for name in conventions.PROVIDER_RENAMED]] = True
    return _Names(texts.arrays, place, current, field, word, provider)


_NAMES: Final = _names()
# Constants of the compiled code: passing them around would cost more than looking a name up.
_SLOTS: Final = _NAMES.table.slots
_BEGIN: Final = _NAMES.table.start
_RAW: Final = _NAMES.table.raw
PLACE: Final = _NAMES.place
"""By the number of a name: the place of the attribute (0: none of meaning; with OLDER)."""
CURRENT: Final = _NAMES.current
"""By the number of an older name: that of today's."""
FIELD: Final = _NAMES.field
"""By the number of a name: its bit in a field set, -1: no field of ours."""
WORD: Final = _NAMES.word
"""Whether it is an operation that spans are named after."""
OLDER_PROVIDER: Final = _NAMES.provider


@kernel
def name_number(buf: Any, begin: int, end: int) -> int:
    """The number of a name, 0 where it is none of ours."""
    mask = _SLOTS.shape[0] - 1
    at = np.int64(hash_of(buf, begin, end) >> np.uint64(20)) & mask
    while _SLOTS[at] >= 0:
        known = _SLOTS[at]
        first = _BEGIN[known]
        if _BEGIN[known + 1] - first == end - begin and same_bytes(_RAW, first, buf, begin, end - begin):
            return known
        at = (at + 1) & mask
    return 0


@kernel
def put_name(out: Any, at: int, number: int) -> int:
    """Writes a name of ours in quotes."""
    out[at] = 34
    at += 1
    for i in range(_BEGIN[number], _BEGIN[number + 1]):
        out[at] = _RAW[i]
        at += 1
    out[at] = 34
    return at + 1
