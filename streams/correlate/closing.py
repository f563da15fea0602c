"""Whether an incident is over because somebody says so."""

from __future__ import annotations

from typing import Literal

from streams.correlate.casefile import CaseFile
from streams.domain.control import Close

Refusal = Literal["", "unknown", "over", "overtaken", "full"]


def refusal(close: Close, case: CaseFile | None, into: CaseFile | None, max_members: int) -> Refusal:
    """Why it is not done, "" where it is.

    Args:
        close: what was said.
        case: the incident it names as it is now, None where it is not known (any more).
        into: the same for the one that is to take it over.
        max_members: of one incident.

    Returns:
        ``unknown`` one of the two; ``over`` already; ``overtaken`` by an alert that began after it was said; ``full``
        the other incident. So what is said twice, or read again after a crash, counts once.
    """
    if case is None or (close.into and into is None):
        return "unknown"
    if into is not None:
        return "full" if len(case.members) + len(into.members) > max_members else ""
    if case.resolved_at_ns:
        return "over"
    return "overtaken" if any(m.transition.starts_at_ns > close.at_ns for m in case.firing()) else ""
