"""Columns of a batch body that was parsed as JSON: packed (base64) or plain (arrays)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode import kernel, reasons
from streams.decode.numbers import MAX_INT64
from streams.decode.reasons import Refused, show


def read_columns(
    body: Mapping[str, Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], list[int]]:
    """Index, offsets and values of a body, and the positions of values that are no numbers.

    Raises:
        Refused: bad_columns.
    """
    index, offset, value, count = body["index"], body["offset_ns"], body["value"], body.get("count")
    if type(index) is str and type(offset) is str and type(value) is str:
        numbers = _packed(index, "<u2", count).astype(np.int64)
        return (
            numbers,
            _packed(offset, "<i8", count).astype(np.int64),
            _packed(value, "<f8", count).astype(np.float64),
            [],
        )
    if not (type(index) is list and type(offset) is list and type(value) is list):
        raise Refused(reasons.BAD_COLUMNS, "columns are neither all packed nor all plain")
    if not len(index) == len(offset) == len(value) or (count is not None and count != len(index)):
        detail = f"count {show(count)}, columns of {len(index)}, {len(offset)}, {len(value)}"
        raise Refused(reasons.BAD_COLUMNS, detail)
    values, wrong = _reals(value)
    return _integers(index, -1), _integers(offset, -(2**63)), values, wrong


def _packed(text: str, dtype: str, count: object) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize * count if type(count) is int and 0 <= count <= len(text) else -1
    if not text.isascii() or size < 0 or len(text) != (size + 2) // 3 * 4:
        raise Refused(reasons.BAD_COLUMNS, f"{len(text)} characters of base64 for {show(count)} samples")
    out = np.empty(size, dtype=np.uint8)
    encoded = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    if not kernel.decode_base64(encoded, 0, size, kernel.ALPHABET, out, 0):
        raise Refused(reasons.BAD_COLUMNS, "not base64")
    return out.view(dtype)


def _integers(items: Sequence[Any], wrong: int) -> NDArray[np.int64]:
    """A list as int64; what is not an integer of 64 bits becomes ``wrong`` (out of range, so it is rejected)."""
    if set(map(type, items)) <= {int} and (not items or (min(items) >= -(2**63) and max(items) <= MAX_INT64)):
        return np.array(items, dtype=np.int64)
    return np.array([x if type(x) is int and -(2**63) <= x <= MAX_INT64 else wrong for x in items], dtype=np.int64)


def _reals(items: Sequence[Any]) -> tuple[NDArray[np.float64], list[int]]:
    """A list as float64 and the positions that are neither numbers nor null (null is what encoders write for NaN)."""
    if set(map(type, items)) <= {float, int}:
        return np.array(items, dtype=np.float64), []
    wrong = [i for i, x in enumerate(items) if type(x) not in (float, int) and x is not None]
    numbers = [x if type(x) in (float, int) else float("nan") for x in items]
    return np.array(numbers, dtype=np.float64), wrong
