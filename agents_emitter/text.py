"""What agents pass as labels, attributes and messages, made safe to encode: bounded strings, numbers and booleans."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

MAX_LABELS: Final = 16
MAX_LABEL_NAME_CHARS: Final = 128
MAX_LABEL_CHARS: Final = 256
MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTE_CHARS: Final = 1024
MAX_LIST_ITEMS: Final = 32

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{0,254}")
_NOT_IN_LABEL_NAME: Final = re.compile(r"[^A-Za-z0-9_.\-]")
_INT64: Final = 2**63

Attribute = str | bool | int | float | list[str | bool | int | float]


def require_name(name: object) -> str:
    """A metric name as OpenTelemetry allows it.

    Raises:
        ValueError: it is not: at instrument creation, which is programming time.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"not a metric name (a letter, then letters, digits, _ . - /; at most 255): {name!r}")
    return name


def require_unit(unit: object) -> str:
    """A UCUM unit: printable ASCII, at most 63 characters (OpenTelemetry's rule).

    Raises:
        ValueError: it is not.
    """
    if not isinstance(unit, str) or len(unit) > 63 or not unit.isascii() or not unit.isprintable():
        raise ValueError(f"not a unit (ASCII, at most 63 characters): {unit!r}")
    return unit


def clip(text: str, limit_chars: int) -> str:
    """At most so many characters, and no lone surrogates, which JSON cannot carry."""
    short = text[:limit_chars]
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")


def text_of(value: object, limit_chars: int) -> str:
    """The text of anything. What cannot be turned into text is named by its type: an agent's ``__str__`` may raise."""
    if type(value) is bool:
        return "true" if value else "false"
    try:
        return clip(str(value), limit_chars)
    except Exception:  # noqa: BLE001  code of the agent; the caller must not be broken by it
        return f"<{type(value).__name__}>"


def label_pairs(labels: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Sorted (name, value) pairs; at most :data:`MAX_LABELS`, the first in order of name.

    Characters outside letters, digits, ``_ . -`` become ``_`` in names; values are cut at 256 characters. None is left
    out: OpenTelemetry has no such value.
    """
    pairs = {
        _NOT_IN_LABEL_NAME.sub("_", text_of(name, MAX_LABEL_NAME_CHARS)) or "_": text_of(value, MAX_LABEL_CHARS)
        for name, value in labels.items()
        if value is not None
    }
    return tuple(sorted(pairs.items())[:MAX_LABELS])


def _scalar(value: object) -> str | bool | int | float:
    kind = type(value)
    if kind is str:
        return clip(value, MAX_ATTRIBUTE_CHARS)  # type: ignore[arg-type]
    if kind is bool:
        return value  # type: ignore[return-value]
    if kind is int and -_INT64 <= value < _INT64:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    return text_of(value, MAX_ATTRIBUTE_CHARS)


def attribute(value: object) -> Attribute:
    """One attribute value; lists and tuples keep 32 items; anything else becomes text of at most 1,024 characters."""
    if type(value) in (list, tuple):
        return [_scalar(item) for item in value[:MAX_LIST_ITEMS]]  # type: ignore[index]
    return _scalar(value)


def attributes(given: Mapping[str, object] | None) -> dict[str, Any]:
    """At most 64 attributes, None left out."""
    if not given:
        return {}
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if len(kept) == MAX_ATTRIBUTES:
            break
        if value is not None:
            kept[text_of(name, MAX_LABEL_NAME_CHARS)] = attribute(value)
    return kept
