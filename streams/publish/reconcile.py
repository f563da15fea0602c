"""What an Alertmanager holds against what it should hold. No network, no clock.

A peer says with 200 that it took an alert, and may still lose it: it was restarted (Alertmanager keeps alerts in memory
only), it limits alerts by name, or something stood in between. Therefore its picture is read and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.publish.delivery import Board, Labels, Ledger, Stray, nanoseconds

STATES: Final = ("active", "suppressed", "missing", "lingering", "superseded", "unknown")
"""Of the alerts that carry a fingerprint, as :class:`Difference` counts them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One look.

    Attributes:
        active: ours that fire there. suppressed: ours that are silenced or inhibited there.
        missing: fire here, were told, are not there. lingering: resolved here, were told, fire there.
        superseded: of another severity than the alert has by now: what a crash left between the end of the old
            severity and the begin of the new one.
        unknown: on no list of ours. Another worker's, or left by one that is gone: these end by themselves, and it is
            not for us to end them.
    """

    active: int
    suppressed: int
    missing: tuple[Labels, ...]
    lingering: tuple[Labels, ...]
    superseded: tuple[Stray, ...]
    unknown: int

    def counts(self) -> dict[str, int]:
        """By :data:`STATES`."""
        values = (getattr(self, state) for state in STATES)
        return {s: v if isinstance(v, int) else len(v) for s, v in zip(STATES, values, strict=True)}


def compare(board: Board, ledger: Ledger, present: Iterable[Mapping[str, Any]], asked_ns: int) -> Difference:
    """Compares.

    Args:
        board: what should be known.
        ledger: what this peer was told.
        present: elements of ``GET /api/v2/alerts``: alerts that have not ended.
        asked_ns: when it was asked; what it was told later than that is not expected in the answer.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: ``present`` is not what Alertmanager answers.
    """
    there = {_labels(alert): alert for alert in present}
    known = [d for d in board.desired.values() if ledger.knows(d, before_ns=asked_ns)]
    ours = [labels for labels in there if labels in board.desired]
    strange = [labels for labels in there if labels not in board.desired]
    severities = {_but_severity(labels) for labels in board.desired} if strange else set()
    superseded = [labels for labels in strange if _but_severity(labels) in severities]
    suppressed = sum(_suppressed(there[labels]) for labels in ours)
    return Difference(
        active=len(ours) - suppressed,
        suppressed=suppressed,
        missing=tuple(d.labels for d in known if not d.resolved_ns and d.labels not in there),
        lingering=tuple(d.labels for d in known if d.resolved_ns and d.labels in there),
        superseded=tuple(_stray(labels, there[labels]) for labels in superseded),
        unknown=len(strange) - len(superseded),
    )


def _labels(alert: Mapping[str, Any]) -> Labels:
    return tuple(sorted(alert["labels"].items()))


def _stray(labels: Labels, alert: Mapping[str, Any]) -> Stray:
    return Stray(labels, nanoseconds(alert["startsAt"]), dict(alert.get("annotations", {})))


def _but_severity(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "severity")


def _suppressed(alert: Mapping[str, Any]) -> bool:
    return bool(alert.get("status", {}).get("state") == "suppressed")
