"""Arrays as text for snapshots: base64 of little-endian columns, exact and without pickle."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Final

_BIG_ENDIAN_HOST: Final = sys.byteorder == "big"


def pack(column: array[float]) -> str:
    """Text of an array."""
    if _BIG_ENDIAN_HOST:
        column = column[:]
        column.byteswap()
    return base64.b64encode(column.tobytes()).decode("ascii")


def unpack(typecode: str, text: str) -> array[float]:
    """The inverse of :func:`pack`.

    Raises:
        ValueError: the text is not a whole number of elements.
    """
    column: array[float] = array(typecode)
    column.frombytes(base64.b64decode(text, validate=True))
    if _BIG_ENDIAN_HOST:
        column.byteswap()
    return column
