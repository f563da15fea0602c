"""Whether what somebody says about an incident can be done: that it is over, or that an alert is not of it."""

from __future__ import annotations

from typing import Literal

from streams.correlate.casefile import CaseFile
from streams.domain.control import Close, Unlink

Refusal = Literal["", "unknown", "over", "overtaken", "full", "alone"]


def refusal(close: Close, case: CaseFile | None, into: CaseFile | None, max_members: int) -> Refusal:
    """Why it is not closed, "" where it is.

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


def unlinking(unlink: Unlink, case: CaseFile | None) -> Refusal:
    """Why the alert is not taken out of its incident, "" where it is.

    Args:
        unlink: what was said.
        case: the incident it names as it is now, None where it is not known (any more).

    Returns:
        ``unknown`` the incident, or it does not have that alert (any more); ``over`` one of the two; ``overtaken`` by
        an episode that began after it was said; ``alone``: the incident has no other alert.
    """
    if case is None or unlink.fingerprint not in case.members:
        return "unknown"
    transition = case.members[unlink.fingerprint].transition
    if case.resolved_at_ns or transition.state != "firing":
        return "over"
    if transition.starts_at_ns > unlink.at_ns:
        return "overtaken"
    return "alone" if len(case.members) == 1 else ""
