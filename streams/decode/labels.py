"""Attributes to labels: strings only, bounded in number and length, sorted."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from streams.decode import reasons
from streams.decode.reasons import Refused
from streams.domain.series import Series, resource_labels

MAX_LABELS: Final = 64
MAX_LABEL_NAME: Final = 128
MAX_LABEL_VALUE: Final = 256
MAX_METRIC_NAME: Final = 256
MAX_UNIT: Final = 63
MAX_DEPTH: Final = 16
"""Nesting of attribute values beyond which the rest is replaced by null."""

Labels = tuple[tuple[str, str], ...]


def text(value: object) -> str:
    """A label value: booleans as true/false, whole floats without a fraction, containers as compact JSON.

    Null is "" (an absent label). At most :data:`MAX_LABEL_VALUE` characters are kept.
    """
    if isinstance(value, str):
        return value[:MAX_LABEL_VALUE]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if value is None:
        return ""
    return json_text(value)[:MAX_LABEL_VALUE]


def json_text(value: object) -> str:
    """A container as compact JSON with sorted keys, cut at :data:`MAX_DEPTH` levels."""
    return orjson.dumps(_clip(value, MAX_DEPTH), option=orjson.OPT_SORT_KEYS).decode()


def _clip(value: object, depth: int) -> object:
    if isinstance(value, Mapping):
        return {str(k): _clip(v, depth - 1) for k, v in value.items()} if depth else None
    if isinstance(value, list | tuple):
        return [_clip(v, depth - 1) for v in value] if depth else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value


def clean(own: Iterable[tuple[str, object]], resource: Labels = ()) -> Labels:
    """Sorted labels of a series: the resource's, overridden by its own of the same name; empty values are no label.

    Raises:
        Refused: bad_label (name empty or too long), too_many_labels.
    """
    found = dict(resource)
    for name, value in own:
        if not 0 < len(name) <= MAX_LABEL_NAME:
            raise Refused(reasons.BAD_LABEL, f"a label name of {len(name)} characters")
        found[name] = text(value)
    kept = [pair for pair in found.items() if pair[1]]
    if len(kept) > MAX_LABELS:
        raise Refused(reasons.TOO_MANY_LABELS, f"{len(kept)} labels, at most {MAX_LABELS}")
    return tuple(sorted(kept))


def of_resource(resource: Mapping[str, Any]) -> Labels:
    """The labels a resource gives to its series (``streams.domain.series.RESOURCE_LABELS``), values cut."""
    return tuple((name, value[:MAX_LABEL_VALUE]) for name, value in resource_labels(_scalars(resource)))


def _scalars(resource: Mapping[str, Any]) -> dict[str, str]:
    return {key: text(value) for key, value in resource.items()}


def series(name: object, unit: object, kind: str, labels: Labels) -> Series:
    """A series with a checked name and unit (units over :data:`MAX_UNIT` characters are cut, UCUM's own limit).

    Raises:
        Refused: missing_field, bad_type, bad_name.
    """
    if name is None:
        raise Refused(reasons.MISSING_FIELD, "name")
    if not isinstance(name, str) or not isinstance(unit, str):
        raise Refused(reasons.BAD_TYPE, "name and unit are strings")
    if not 0 < len(name) <= MAX_METRIC_NAME:
        raise Refused(reasons.BAD_NAME, f"a metric name of {len(name)} characters")
    return Series(name, unit[:MAX_UNIT], kind, labels)
