"""Why an event could not be used: the closed list of reason words.

They are label values of the rejected counter and headers of dead letters, so they are public API: words are added,
never renamed.
"""

from __future__ import annotations

from typing import Final

EMPTY: Final = "empty"
"""No payload (a tombstone, zero bytes) or a well-formed request that holds no event at all."""
OVERSIZE: Final = "oversize"
"""The record is larger than :data:`MAX_RECORD_BYTES`."""
NOT_JSON: Final = "not_json"
"""Neither JSON nor a payload whose first byte could start an OTLP protobuf message."""
BAD_PROTOBUF: Final = "bad_protobuf"
"""Starts like an OTLP protobuf message but does not parse as one."""
UNKNOWN_SCHEMA: Final = "unknown_schema"
"""JSON of a shape this pipeline does not know."""
UNSUPPORTED_VERSION: Final = "unsupported_version"
"""One of our schemas in a version this code does not read."""
WRONG_TOPIC: Final = "wrong_topic"
"""Readable, but it belongs to another stage (spans among metrics and the reverse)."""
MISSING_FIELD: Final = "missing_field"
"""A required field is absent."""
BAD_TYPE: Final = "bad_type"
"""A field has a type or a value outside its domain (a string for a number, an unknown kind)."""
BAD_NAME: Final = "bad_name"
"""A metric name that is empty or longer than 256 characters."""
BAD_LABEL: Final = "bad_label"
"""A label name that is empty or longer than 128 characters."""
TOO_MANY_LABELS: Final = "too_many_labels"
"""More than 64 labels on one series."""
BAD_COLUMNS: Final = "bad_columns"
"""Columns that do not decode (base64, lengths) or a series index out of range."""
BAD_BUCKETS: Final = "bad_buckets"
"""A histogram whose buckets, bounds and count do not fit together."""
BAD_TIME: Final = "bad_time"
"""Time absent, not positive, beyond signed 64-bit nanoseconds, or an end before its start."""
BAD_ID: Final = "bad_id"
"""A trace or span id that is not hex of the right length, or all zeros."""
NOT_FINITE: Final = "not_finite"
"""NaN, an infinity, or the null that JSON encoders write for them."""
NEGATIVE_COUNTER: Final = "negative_counter"
"""A counter's increment or total below zero."""
NO_RECORDED_VALUE: Final = "no_recorded_value"
"""OTLP's staleness flag: the point says that there is no value."""
UNSUPPORTED_METRIC: Final = "unsupported_metric"
"""OTLP summaries (quantiles do not merge) and points without a temporality."""

REASONS: Final = (
    EMPTY,
    OVERSIZE,
    NOT_JSON,
    BAD_PROTOBUF,
    UNKNOWN_SCHEMA,
    UNSUPPORTED_VERSION,
    WRONG_TOPIC,
    MISSING_FIELD,
    BAD_TYPE,
    BAD_NAME,
    BAD_LABEL,
    TOO_MANY_LABELS,
    BAD_COLUMNS,
    BAD_BUCKETS,
    BAD_TIME,
    BAD_ID,
    NOT_FINITE,
    NEGATIVE_COUNTER,
    NO_RECORDED_VALUE,
    UNSUPPORTED_METRIC,
)

MAX_RECORD_BYTES: Final = 16 * 1_048_576
"""Larger than any topic of ours accepts (``streams.topics``): a guard against foreign topics, not a tuning knob."""


class Refused(Exception):
    """Raised inside decode for one event or record, and always turned into a ``Rejected`` before decode returns.

    Attributes:
        reason: one of :data:`REASONS`.
        detail: for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def show(value: object) -> str:
    """A rejected value for the detail text: scalars as written (at most 40 characters), containers by type only."""
    if isinstance(value, str):
        return repr(value[:40])
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return type(value).__name__
