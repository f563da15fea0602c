"""What another library made and our lanes carry: spans and logs as objects, metrics as finished records.

The emitter does not know whose they are; ``agents_emitter.otel`` makes them from those of the OpenTelemetry SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

NO_RESOURCE: Final[Mapping[str, Any]] = {}
"""Of items that are the emitter's own: one object, so that they share records."""


@dataclass(slots=True)  # frozen would double the time that making one takes, in the agent's thread
class Foreign:
    """A span or a log. It becomes a row when it is encoded, in the sender's thread, so that the agent does not wait.

    Attributes:
        group: record key (trace id); empty for the agent's id.
        resource: its own resource attributes, added to the emitter's and winning over them. Items that share the same
            object share records.
        source: what it is made from; must not change any more.
        row_of: source to a mapping with OTLP field names that orjson can encode.
    """

    group: bytes
    resource: Mapping[str, Any]
    source: Any
    row_of: Callable[[Any], dict[str, Any]]

    def row(self) -> dict[str, Any] | None:
        """The row; None where the source is not what it should be: one such item must not cost its neighbours."""
        try:
            return self.row_of(self.source)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Ready:
    """The value of a record, and how many events (metric points) are in it."""

    value: bytes
    events: int
