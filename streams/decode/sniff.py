"""What an OTLP protobuf request holds. The three requests share their outer shape, so the leaves tell."""

from __future__ import annotations

from typing import Final, Literal

Content = Literal["metrics", "logs", "spans", ""]

_LENGTH: Final = 2
_FIXED64: Final = 1
_VARINT: Final = 0
_MAX_FIELDS: Final = 10_000

# (field number, wire type) that only this leaf has; opentelemetry-proto Metric, LogRecord, Span.
_SPAN: Final = frozenset({(7, _FIXED64), (8, _FIXED64)})
_LOG: Final = frozenset({(1, _FIXED64), (11, _FIXED64), (2, _VARINT)})
_METRIC: Final = frozenset({(5, _LENGTH), (7, _LENGTH), (9, _LENGTH), (10, _LENGTH), (11, _LENGTH)})


def is_protobuf(raw: bytes) -> bool:
    """Whether the first byte is field 1, length-delimited, as in every OTLP request (in JSON it is a newline)."""
    return raw[:1] == b"\n"


def content_of(raw: bytes) -> Content:
    """Metrics, logs or spans, judged by the first leaf message; "" where there is none or it does not tell."""
    piece: bytes | None = raw
    for number in (1, 2, 2):
        piece = _first(piece, number) if piece is not None else None
    if piece is None:
        return ""
    seen = {(number, wire) for number, wire, _ in _fields(piece)}
    if seen & _SPAN:
        return "spans"
    if seen & _LOG:
        return "logs"
    return "metrics" if seen & _METRIC else ""


def _first(raw: bytes, number: int) -> bytes | None:
    for found, wire, content in _fields(raw):
        if found == number and wire == _LENGTH:
            return content
    return None


def _fields(raw: bytes) -> list[tuple[int, int, bytes]]:
    """Fields of a message up to the first malformed one, at most :data:`_MAX_FIELDS`."""
    found: list[tuple[int, int, bytes]] = []
    pos = 0
    while pos < len(raw) and len(found) < _MAX_FIELDS:
        tag, pos = _varint(raw, pos)
        size = {_FIXED64: 8, 5: 4}.get(tag & 7, 0)
        if tag & 7 == _LENGTH:
            size, pos = _varint(raw, pos) if pos > 0 else (0, -1)
        elif tag & 7 == _VARINT:
            _, pos = _varint(raw, pos) if pos > 0 else (0, -1)
        elif not size:
            break
        if pos < 0 or pos + size > len(raw):
            break
        found.append((tag >> 3, tag & 7, raw[pos : pos + size]))
        pos += size
    return found


def _varint(raw: bytes, pos: int) -> tuple[int, int]:
    result = shift = 0
    while pos < len(raw) and shift < 70:
        byte = raw[pos]
        pos += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, pos
        shift += 7
    return 0, -1
