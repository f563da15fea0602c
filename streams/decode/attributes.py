"""OTLP attributes (``KeyValue`` lists) to plain Python values, from JSON and from protobuf."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from streams.decode import reasons
from streams.decode.labels import MAX_DEPTH, json_text
from streams.decode.numbers import integer, real
from streams.decode.reasons import Refused, show

_SCALARS: Final = frozenset({str, bool, int, float})


def from_json(items: object) -> dict[str, Any]:
    """Attributes of OTLP JSON; integers as numbers or strings, bytes stay base64 text, the last of a name wins.

    Raises:
        Refused: bad_type where this is not a list of key and value.
    """
    if items is None:
        return {}
    return _pairs(items, MAX_DEPTH)


def _pairs(items: object, depth: int) -> dict[str, Any]:
    if not isinstance(items, list):
        raise Refused(reasons.BAD_TYPE, f"attributes are {show(items)}")
    found: dict[str, Any] = {}
    for item in items:
        key = item.get("key", "") if isinstance(item, dict) else None
        if not isinstance(key, str):
            raise Refused(reasons.BAD_TYPE, "an attribute is an object with a key")
        found[key] = _json_value(item.get("value"), depth - 1)
    return found


def _json_value(value: object, depth: int) -> Any:
    if not isinstance(value, dict) or not value or depth <= 0:
        return None
    kind, content = next(iter(value.items()))
    if kind in ("stringValue", "bytesValue"):
        return content if isinstance(content, str) else _wrong(kind, content)
    if kind == "boolValue":
        return content if isinstance(content, bool) else _wrong(kind, content)
    if kind == "intValue":
        return integer(content, kind)
    if kind == "doubleValue":
        return real(content, kind)
    inner = content.get("values") or [] if isinstance(content, dict) else _wrong(kind, content)
    if kind == "arrayValue":
        return [_json_value(v, depth - 1) for v in inner] if isinstance(inner, list) else _wrong(kind, inner)
    return _pairs(inner, depth) if kind == "kvlistValue" else None


def _wrong(kind: str, content: object) -> Any:
    raise Refused(reasons.BAD_TYPE, f"{kind} is {show(content)}")


def from_protobuf(items: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes of OTLP protobuf, equal to :func:`from_json` of the same data."""
    return {item.key: _protobuf_value(item.value, MAX_DEPTH - 1) for item in items}


def from_protobuf_value(value: AnyValue) -> Any:
    """One value of OTLP protobuf."""
    return _protobuf_value(value, MAX_DEPTH - 1)


def _protobuf_value(value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth <= 0:
        return None
    if kind == "array_value":
        return [_protobuf_value(v, depth - 1) for v in value.array_value.values]
    if kind == "kvlist_value":
        return {kv.key: _protobuf_value(kv.value, depth - 1) for kv in value.kvlist_value.values}
    content = getattr(value, kind)
    return base64.b64encode(content).decode("ascii") if isinstance(content, bytes) else content


def flatten(attributes: dict[str, Any]) -> dict[str, Any]:
    """Values of spans and logs: str, bool, int, float or a list of them.

    Nested maps become dotted names, what is nested in lists becomes JSON text, null is left out.
    """
    flat: dict[str, Any] = {}
    _flatten_into(flat, "", attributes, MAX_DEPTH)
    return flat


def _flatten_into(flat: dict[str, Any], prefix: str, attributes: dict[str, Any], depth: int) -> None:
    for key, value in attributes.items():
        name = prefix + key if prefix else key
        if type(value) in _SCALARS:
            flat[name] = value
        elif isinstance(value, dict):
            if depth > 1:
                _flatten_into(flat, name + ".", value, depth - 1)
            else:
                flat[name] = json_text(value)
        elif isinstance(value, list):
            flat[name] = [v if type(v) in _SCALARS else json_text(v) for v in value]
