"""What Alertmanager really notified: the posts at the webhook, with the time at which the demo first saw them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from streams.correlate.notices import INCIDENT_ALERT
from streams.domain.alert import AlertTransition
from streams.publish.delivery import alert_labels

Labels = tuple[tuple[str, str], ...]
MAX_NOTICES: Final = 50_000


class Notice(NamedTuple):
    """One alert in one notification."""

    seen_ns: int
    status: str
    labels: Labels


class Notices:
    """Notices in the order of their arrival; of more than 50,000 the oldest go, the last status of each alert stays."""

    def __init__(self) -> None:
        self._notices: deque[Notice] = deque(maxlen=MAX_NOTICES)
        self._taken = 0
        self._last: dict[Labels, str] = {}

    def take(self, requests: Sequence[dict[str, Any]], now_ns: int) -> list[Notice]:
        """Notes what is new in the webhook's growing list of requests; returns it."""
        fresh = [
            Notice(now_ns, alert["status"], tuple(sorted(alert["labels"].items())))
            for request in requests[self._taken :]
            for alert in request.get("alerts", ())
        ]
        self._taken = len(requests)
        self._notices.extend(fresh)
        self._last.update((notice.labels, notice.status) for notice in fresh)
        return fresh

    def first(self, transition: AlertTransition, status: str, after_ns: int) -> int | None:
        """When an alert was first notified with a status after a moment; None if it was not."""
        labels = alert_labels(transition)
        found = (n.seen_ns for n in self._notices if n.status == status and n.labels == labels and n.seen_ns > after_ns)
        return next(found, None)

    def first_of_incident(self, incident_id: str, status: str, after_ns: int) -> int | None:
        """The same for the alert of an incident."""
        wanted = {("alertname", INCIDENT_ALERT), ("incident_id", incident_id)}
        later = (n for n in self._notices if n.status == status and n.seen_ns > after_ns)
        return next((n.seen_ns for n in later if wanted <= {*n.labels}), None)

    def end_of_incident(self, incident_id: str, began_ns: int) -> int | None:
        """When the end of an incident was notified, after its last beginning.

        One that becomes more severe ends under its former labels and begins under others.
        """
        last_ns = began_ns
        while (again_ns := self.first_of_incident(incident_id, "firing", last_ns)) is not None:
            last_ns = again_ns
        return self.first_of_incident(incident_id, "resolved", last_ns)

    def told(self, transition: AlertTransition) -> bool:
        """Whether the last notification about an alert said what the transition says.

        An alert that ends and begins again between two notifications is not notified twice.
        """
        return self._last.get(alert_labels(transition)) == transition.state

    def count(self, status: str, after_ns: int) -> int:
        """Different alerts notified with a status after a moment."""
        return len({n.labels for n in self._notices if n.status == status and n.seen_ns > after_ns})
