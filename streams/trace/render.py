"""Numba: records of ``agents.traces`` straight from the store. See ``streams.domain.trace`` for what they hold."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.conventions import STATUS_ERROR
from streams.domain.jsonbytes import put_bytes, put_id, put_integer, put_text, put_word
from streams.domain.kernel import kernel
from streams.domain.texts import TextArrays
from streams.trace.forest import ORPHANS, SEGMENTS, Forest, N, align, plant, self_times, sort
from streams.trace.path import critical_path, entry_of, root_of
from streams.trace.store import NONE, Store, span_row
from streams.trace.summary import conversations, services, token_use, unpaired

FULL: Final = -1
MAX_FAILURES: Final = 32
MAX_CONVERSATIONS: Final = 32

_TRACE: Final = np.frombuffer(b'{"v":1,"schema":"agents.trace/1","trace_id":"', np.uint8)
_REVISION: Final = np.frombuffer(b'","revision":', np.uint8)
_ROOT: Final = np.frombuffer(b',"root":"', np.uint8)
_SERVICES: Final = np.frombuffer(b'","services":[', np.uint8)
_START: Final = np.frombuffer(b'"start_ns":', np.uint8)
_END: Final = np.frombuffer(b',"end_ns":', np.uint8)
_DURATION: Final = np.frombuffer(b',"duration_ns":', np.uint8)
_COMPLETE: Final = np.frombuffer(b',"complete":true', np.uint8)
_INCOMPLETE: Final = np.frombuffer(b',"complete":false', np.uint8)
_COUNT: Final = np.frombuffer(b',"span_count":', np.uint8)
_ERRORS: Final = np.frombuffer(b',"error_count":', np.uint8)
_FAILURES: Final = np.frombuffer(b',"failures":[', np.uint8)
_ORPHANS: Final = np.frombuffer(b'"orphans":[', np.uint8)
_UNFINISHED: Final = np.frombuffer(b'"unfinished":[', np.uint8)
_DROPPED: Final = np.frombuffer(b'"dropped_spans":', np.uint8)
_PATH: Final = np.frombuffer(b',"critical_path":[', np.uint8)
_TOKENS: Final = np.frombuffer(b'"tokens":[', np.uint8)
_CONVERSATIONS: Final = np.frombuffer(b'"conversation_ids":[', np.uint8)
_RESOURCES: Final = np.frombuffer(b'"trimmed":false,"resources":[', np.uint8)
_SPANS: Final = np.frombuffer(b'"spans":[', np.uint8)
_SELF: Final = np.frombuffer(b',"selfNs":', np.uint8)
_RESOURCE: Final = np.frombuffer(b',"resource":', np.uint8)
_SPAN_ID: Final = np.frombuffer(b'{"span_id":"', np.uint8)
_SERVICE: Final = np.frombuffer(b'","service":', np.uint8)
_NAME: Final = np.frombuffer(b',"name":', np.uint8)
_ERROR_TYPE: Final = np.frombuffer(b',"error_type":', np.uint8)
_MESSAGE: Final = np.frombuffer(b',"message":"', np.uint8)
_FROM: Final = np.frombuffer(b'","start_ns":', np.uint8)
_MODEL: Final = np.frombuffer(b'{"model":', np.uint8)
_AGENT: Final = np.frombuffer(b',"agent":', np.uint8)
_INPUT: Final = np.frombuffer(b',"input_tokens":', np.uint8)
_OUTPUT: Final = np.frombuffer(b',"output_tokens":', np.uint8)

_FIXED_BYTES: Final = 1_024
_SPAN_BYTES: Final = 96
_SEGMENT_BYTES: Final = 128
_ID_BYTES: Final = 20
_TOKEN_BYTES: Final = 128
_FAILURE_BYTES: Final = 512
"""Room for the constant parts and numbers of each thing."""


class Page(NamedTuple):
    """Where records are written, and what their spans refer to.

    ``out`` uint8[]; ``number`` int32[resources]: scratch; ``resources`` RESOURCE[], ``json`` uint8[].
    """

    out: NDArray[np.uint8]
    number: NDArray[np.int32]
    resources: NDArray[Any]
    json: NDArray[np.uint8]
    texts: TextArrays


@kernel
def render_all(store: Store, f: Forest, page: Page, due: Any, first: int, ends: Any, figures: Any) -> int:
    """Writes publications from ``first`` on; returns the one for which there is no room, or how many there are.

    ``ends`` int64[k + 1]: where each record begins and ends; ``figures`` int64[2]: orphans and spans that stayed alone.
    """
    for i in range(first, due.shape[0]):
        at, orphans, alone = render(store, f, page, due[i], ends[i])
        if at == FULL:
            return i
        ends[i + 1] = at
        figures[0] += orphans
        figures[1] += alone
    return due.shape[0]


@kernel
def render(store: Store, f: Forest, page: Page, due: Any, at: int) -> tuple[int, int, int]:
    """Writes the record of a publication at a position.

    Returns:
        The position after it (FULL: no room), how many orphans it has, and how many spans stayed alone.
    """
    rows = store.rows
    plant(f, store, due.trace, due.spans, due.announced)
    align(f, rows, page.resources)
    self_times(f)
    critical_path(f, entry_of(f, rows))
    size = _size(f, rows, page, due)
    if at + size > page.out.shape[0]:
        return FULL, 0, 0
    at = _failures(f, store, page, _head(store, f, page, due, at), size)
    if at == FULL:
        return FULL, 0, 0
    at = _ids(store, f, page.out, due, at)
    at = _words(f, rows, page, _path(f, rows, page.out, at), size)
    if at == FULL:
        return FULL, 0, 0
    at = _spans(f, store, page, at)
    alone = unpaired(f, rows, page.resources) if due.revision == 0 else 0
    return at, f.figures[ORPHANS], alone


@kernel
def _size(f: Forest, rows: Any, page: Page, due: Any) -> int:
    """More bytes than the record takes, but for failures, tokens and conversations."""
    size = _FIXED_BYTES + due.announced * _ID_BYTES + f.figures[SEGMENTS] * _SEGMENT_BYTES
    for i in range(page.number.shape[0]):
        page.number[i] = NONE
    for place in range(f.figures[N]):
        row = rows[f.row[place]]
        size += row.body_bytes + _SPAN_BYTES + _ID_BYTES
        if page.number[row.resource] == NONE:
            page.number[row.resource] = 0
            resource = page.resources[row.resource]
            size += resource.json_bytes + 1 + _text_bytes(page.texts, resource.service)
    return size


@kernel
def _text_bytes(texts: TextArrays, text: int) -> int:
    return 6 * (texts.start[text + 1] - texts.start[text]) + 3


@kernel
def _put(page: Page, at: int, text: int) -> int:
    """A text as JSON."""
    return put_text(page.out, at, page.texts.raw, page.texts.start[text], page.texts.start[text + 1])


@kernel
def _end_list(out: Any, at: int) -> int:
    """A bracket in place of the last comma, and a comma."""
    if out[at - 1] == 44:
        at -= 1
    out[at], out[at + 1] = 93, 44
    return at + 2


@kernel
def _head(store: Store, f: Forest, page: Page, due: Any, at: int) -> int:
    rows, out, trace = store.rows, page.out, store.traces[due.trace]
    at = put_id(out, put_id(out, put_word(out, at, _TRACE), trace.high), trace.low)
    at = put_integer(out, put_word(out, at, _REVISION), due.revision)
    at = put_word(out, at, _ROOT)
    root = root_of(f, rows)
    if root != NONE:
        at = put_id(out, at, rows[f.row[root]].span)
    at = put_word(out, at, _SERVICES)
    for i in range(services(f, rows, page.resources, page.texts)):
        at = _put(page, at, f.text[i])
        out[at] = 44
        at += 1
    at = _end_list(out, at)
    start, end, errors = rows[f.row[0]].start_ns, rows[f.row[0]].end_ns, 0
    for place in range(f.figures[N]):
        row = rows[f.row[place]]
        end = max(end, row.end_ns)
        errors += row.status == STATUS_ERROR
    at = put_integer(out, put_word(out, at, _START), start)
    at = put_integer(out, put_word(out, at, _END), end)
    at = put_integer(out, put_word(out, at, _DURATION), end - start)
    whole = root != NONE and f.figures[ORPHANS] == 0 and due.dropped == 0 and _open_span(store, due) == NONE
    at = put_word(out, at, _COMPLETE) if whole else put_word(out, at, _INCOMPLETE)
    at = put_integer(out, put_word(out, at, _COUNT), due.spans)
    return put_integer(out, put_word(out, at, _ERRORS), errors)


@kernel
def _open_span(store: Store, due: Any) -> int:
    """A row of an announcement without its span, NONE if there is none."""
    at = store.traces[due.trace].announced_head
    for _ in range(due.announced):
        if _is_open(store, due, at):
            return at
        at = store.rows[at].next
    return NONE


@kernel
def _is_open(store: Store, due: Any, at: int) -> bool:
    ended = span_row(store, due.trace, store.rows[at].span, 0)
    return ended == NONE or store.rows[ended].nth >= due.spans


@kernel
def _failures(f: Forest, store: Store, page: Page, at: int, rest: int) -> int:
    """Also keeps room for ``rest`` bytes behind them."""
    rows, out = store.rows, page.out
    at, found = put_word(out, at, _FAILURES), 0
    for place in range(f.figures[N]):
        row = rows[f.row[place]]
        if row.status != STATUS_ERROR or found == MAX_FAILURES:
            continue
        found += 1
        service = page.resources[row.resource].service
        size = _text_bytes(page.texts, service) + _text_bytes(page.texts, row.name) + _text_bytes(page.texts, row.error)
        if at + size + row.message_bytes + _FAILURE_BYTES + rest > out.shape[0]:
            return FULL
        at = put_id(out, put_word(out, at, _SPAN_ID), row.span)
        at = _put(page, put_word(out, at, _SERVICE), service)
        at = _put(page, put_word(out, at, _NAME), row.name)
        at = _put(page, put_word(out, at, _ERROR_TYPE), row.error)
        begin = row.body + row.message
        at = put_bytes(out, put_word(out, at, _MESSAGE), store.bodies, begin, begin + row.message_bytes)
        out[at], out[at + 1], out[at + 2] = 34, 125, 44
        at += 3
    return _end_list(out, at)


@kernel
def _ids(store: Store, f: Forest, out: Any, due: Any, at: int) -> int:
    """Orphans, unfinished and dropped spans."""
    rows = store.rows
    at = put_word(out, at, _ORPHANS)
    for i in range(f.figures[ORPHANS]):
        at = _put_quoted(out, at, rows[f.row[f.orphans[i]]].span)
    at = put_word(out, _end_list(out, at), _UNFINISHED)
    row, count = store.traces[due.trace].announced_head, 0
    for _ in range(due.announced):
        if _is_open(store, due, row):
            f.sorted_kids[count], f.id[count], f.key[count], f.tie[count] = count, rows[row].span, 0, 0
            count += 1
        row = rows[row].next
    sort(f, f.sorted_kids, 0, count)
    for i in range(count):
        at = _put_quoted(out, at, f.id[f.sorted_kids[i]])
    at = put_word(out, _end_list(out, at), _DROPPED)
    return put_integer(out, at, due.dropped)


@kernel
def _put_quoted(out: Any, at: int, number: Any) -> int:
    out[at] = 34
    at = put_id(out, at + 1, number)
    out[at], out[at + 1] = 34, 44
    return at + 2


@kernel
def _path(f: Forest, rows: Any, out: Any, at: int) -> int:
    at = put_word(out, at, _PATH)
    for i in range(f.figures[SEGMENTS] - 1, -1, -1):
        at = put_id(out, put_word(out, at, _SPAN_ID), rows[f.row[f.segment[i]]].span)
        at = put_integer(out, put_word(out, at, _FROM), f.segment_ns[2 * i])
        at = put_integer(out, put_word(out, at, _END), f.segment_ns[2 * i + 1])
        out[at], out[at + 1] = 125, 44
        at += 2
    return _end_list(out, at)


@kernel
def _words(f: Forest, rows: Any, page: Page, at: int, rest: int) -> int:
    """Tokens and conversations; keeps room for ``rest`` bytes behind them."""
    out, texts = page.out, page.texts
    at = put_word(out, at, _TOKENS)
    for i in range(token_use(f, rows, page.resources, texts)):
        model, agent = f.text[2 * i], f.text[2 * i + 1]
        if at + _text_bytes(texts, model) + _text_bytes(texts, agent) + _TOKEN_BYTES + rest > out.shape[0]:
            return FULL
        at = _put(page, put_word(out, at, _MODEL), model)
        at = _put(page, put_word(out, at, _AGENT), agent)
        at = put_integer(out, put_word(out, at, _INPUT), f.tokens[2 * i])
        at = put_integer(out, put_word(out, at, _OUTPUT), f.tokens[2 * i + 1])
        out[at], out[at + 1] = 125, 44
        at += 2
    at = put_word(out, _end_list(out, at), _CONVERSATIONS)
    for i in range(min(conversations(f, rows, texts), MAX_CONVERSATIONS)):
        if at + _text_bytes(texts, f.text[i]) + _TOKEN_BYTES + rest > out.shape[0]:
            return FULL
        at = _put(page, at, f.text[i])
        out[at] = 44
        at += 1
    return _end_list(out, at)


@kernel
def _spans(f: Forest, store: Store, page: Page, at: int) -> int:
    """Resources in order of first appearance, then spans, to the end of the record."""
    rows, out = store.rows, page.out
    at, found = put_word(out, at, _RESOURCES), 0
    for place in range(f.figures[N]):
        page.number[rows[f.row[place]].resource] = NONE
    for place in range(f.figures[N]):
        number = rows[f.row[place]].resource
        if page.number[number] == NONE:
            resource = page.resources[number]
            page.number[number] = found
            found += 1
            at = put_bytes(out, at, page.json, resource.json, resource.json + resource.json_bytes)
            out[at] = 44
            at += 1
    at = put_word(out, _end_list(out, at), _SPANS)
    for place in range(f.figures[N]):
        row = rows[f.row[place]]
        at = put_bytes(out, at, store.bodies, row.body, row.body + row.body_bytes)
        at = put_integer(out, put_word(out, at, _SELF), f.self_ns[place])
        at = put_integer(out, put_word(out, at, _RESOURCE), page.number[row.resource])
        out[at], out[at + 1] = 125, 44
        at += 2
    at = _end_list(out, at) - 1
    out[at] = 125
    return at + 1
