"""What became of every event, counted. The sums agree, always."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fates:
    """Counts of events of one source partition, up to an offset.

    Every event that was in the log is in exactly one of: aggregated, late, duplicate, overflow (aggregated into the
    overflow series of its metric because the series budget is used up), rejected (by reason).
    """

    aggregated: int = 0
    late: int = 0
    duplicate: int = 0
    overflow: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All events seen."""
        return self.aggregated + self.late + self.duplicate + self.overflow + self.rejected.total()

    def add(self, other: Fates) -> None:
        """Adds another count to this one."""
        self.aggregated += other.aggregated
        self.late += other.late
        self.duplicate += other.duplicate
        self.overflow += other.overflow
        self.rejected.update(other.rejected)

    def snapshot(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {
            "aggregated": self.aggregated,
            "late": self.late,
            "duplicate": self.duplicate,
            "overflow": self.overflow,
            "rejected": dict(self.rejected),
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Fates:
        """The inverse of :meth:`snapshot`."""
        return cls(**{**data, "rejected": Counter(data["rejected"])})
