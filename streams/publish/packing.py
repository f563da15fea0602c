"""Columns of numbers as base64 text inside JSON snapshots. Little-endian, 8 bytes a number."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(column: NDArray[Any]) -> str:
    """Base64 of an int64 or float64 column."""
    little = np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode("ascii")


def unpack(text: str, dtype: type[np.int64] | type[np.float64]) -> NDArray[Any]:
    """The inverse of :func:`pack`, writable.

    Raises:
        ValueError: not base64 or not a whole number of elements.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), np.dtype(dtype).newbyteorder("<")).astype(dtype)
