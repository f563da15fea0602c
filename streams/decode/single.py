"""Single events: one JSON object (or an array of them) in a record, as shell scripts and other languages send them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents_emitter.redaction import Redactor
from streams.decode import labels, matcher, reasons
from streams.decode.gather import Gather, Points
from streams.decode.head import HeadCache, series_target
from streams.decode.numbering import Numbering
from streams.decode.numbers import MAX_INT64, time_ns
from streams.decode.reasons import Refused, show
from streams.domain.block import Block
from streams.domain.columns import BatchId

_REQUIRED: Final = ("name", "value")


def looks_single(body: dict[str, Any]) -> bool:
    """An object that means to be a single event: it has a name or a value and no schema."""
    return "name" in body or "value" in body


def resolve(event: dict[str, Any], table: Numbering) -> int:
    """The target of an event's series.

    Raises:
        Refused: missing_field, bad_type, bad_name, bad_label, too_many_labels.
    """
    resource = event.get("resource") or {}
    if not isinstance(resource, dict):
        raise Refused(reasons.BAD_TYPE, f"resource is {show(resource)}")
    return series_target(event, labels.of_resource(resource), table)


def decode_event(record: int, event: object, append_ns: int, table: Numbering, gather: Gather) -> bool:
    """One event into ``gather``; without a time the record's append time counts. True where it was accepted."""
    try:
        if not isinstance(event, dict):
            raise Refused(reasons.BAD_TYPE, f"an event is an object, not {show(event)}")  # noqa: TRY301 - the boundary
        _decode(record, event, append_ns, table, gather)
    except Refused as refused:
        gather.reject(record, refused.reason, refused.detail)
        return False
    return True


def _decode(record: int, event: dict[str, Any], append_ns: int, table: Numbering, gather: Gather) -> None:
    for field in _REQUIRED:
        if field not in event:
            raise Refused(reasons.MISSING_FIELD, field)
    value = event["value"]
    if value is None:
        raise Refused(reasons.NOT_FINITE, "value is null")
    if type(value) not in (float, int):
        raise Refused(reasons.BAD_TYPE, f"value is {show(value)}, a number is needed")
    moment = append_ns if event.get("time_unix_nano") is None else time_ns(event["time_unix_nano"], "time_unix_nano")
    if not 0 < moment <= MAX_INT64:
        raise Refused(reasons.BAD_TIME, f"no time given and the record's append time is {append_ns}")
    gather.point(record, resolve(event, table), moment, 0, float(value))


def batch_id(record: int, event: dict[str, Any], redactor: Redactor) -> BatchId | None:
    """The producer and number of a lone event that carries both."""
    producer, seq = event.get("producer"), event.get("seq")
    if isinstance(producer, str) and type(seq) is int and 0 <= seq <= MAX_INT64:
        return BatchId(record, redactor.identity(producer), seq, 0)
    return None


def decode_known(
    block: Block, positions: NDArray[np.intp], appended_ns: NDArray[np.int64], cache: HeadCache, gather: Gather
) -> NDArray[np.intp]:
    """Decode those of some records whose skeleton is known, without parsing JSON.

    Returns:
        Positions of all others.
    """
    matched = cache.skeletons.match(block.text, block.start[positions], block.end[positions])
    known = matched.target != matcher.NO_MATCH
    record = positions[known]
    times = matched.time_ns[known]
    times = np.where(times == 0, appended_ns[record], times)
    starts = np.zeros(len(record), dtype=np.int64)
    gather.settle(Points(record.astype(np.int32), matched.target[known], times, starts, matched.value, {}))
    left: NDArray[np.intp] = positions[~known]
    return left
