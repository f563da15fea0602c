"""Alerts that ended a while ago, for whoever has to say so again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import orjson

from streams.domain.alert import AlertTransition, decode_alert, encode_alert

RETAIN_NS: Final = 900 * 10**9
MAX_ENDED: Final = 10_000


class Ended:
    """The last transitions of alerts that are resolved.

    A worker may die after a resolution is in a snapshot and before Alertmanager has heard of it: the next one says it
    again, or the alert would stand there until its validity is over.

    Bounded: :data:`RETAIN_NS` of event time, as long as the publisher itself repeats an end, and :data:`MAX_ENDED`
    alerts; the one that ended first leaves.
    """

    def __init__(self) -> None:
        self._alerts: OrderedDict[str, AlertTransition] = OrderedDict()

    def take(self, transition: AlertTransition) -> None:
        """A transition that was told; pending ones are not, and end nothing."""
        if transition.state == "pending":
            return
        self._alerts.pop(transition.fingerprint, None)
        if transition.state == "resolved":
            self._alerts[transition.fingerprint] = transition
        self._shrink(transition.at_ns - RETAIN_NS)

    def _shrink(self, before_ns: int) -> None:
        while self._alerts:
            oldest = next(iter(self._alerts.values()))
            if len(self._alerts) <= MAX_ENDED and oldest.at_ns >= before_ns:
                return
            del self._alerts[oldest.fingerprint]

    def alerts(self) -> list[AlertTransition]:
        """What to say again, the one that ended first at the head."""
        return list(self._alerts.values())

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        return [orjson.Fragment(encode_alert(alert)) for alert in self._alerts.values()]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`, into an empty one."""
        found = (decode_alert(orjson.dumps(row)) for row in rows)
        self._alerts = OrderedDict((alert.fingerprint, alert) for alert in found)
