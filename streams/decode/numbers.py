"""JSON scalars to numbers: OTLP JSON writes 64-bit integers and special floats as strings, other writers do not."""

from __future__ import annotations

from typing import Final

from streams.decode import reasons
from streams.decode.reasons import Refused, show

MAX_INT64: Final = 2**63 - 1
_MAX_DIGITS: Final = 20
_SPECIAL: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def time_ns(value: object, field: str) -> int:
    """Nanoseconds since the epoch from an int or a string of digits.

    Raises:
        Refused: bad_time unless it is in 1 .. 2**63 - 1.
    """
    number = value
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit():
        number = int(value)
    if type(number) is int and 0 < number <= MAX_INT64:
        return number
    raise Refused(reasons.BAD_TIME, f"{field} is {show(value)}")


def optional_time_ns(value: object) -> int:
    """The same where absence is allowed: 0 for anything that is not a usable time."""
    try:
        return time_ns(value, "")
    except Refused:
        return 0


def integer(value: object, field: str) -> int:
    """An integer from an int, an integral float or a string of digits with an optional sign.

    Raises:
        Refused: bad_type.
    """
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(value)}, an integer is needed")


def real(value: object, field: str) -> float:
    """A float from a JSON number or one of protobuf JSON's special strings (may be NaN or infinite).

    Raises:
        Refused: not_finite for null, bad_type for anything else.
    """
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if value is None:
        raise Refused(reasons.NOT_FINITE, f"{field} is null")
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(value)}, a number is needed")
