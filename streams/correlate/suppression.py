"""Why an alert that fires needs no notification of its own, in one order of reasons."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import orjson

from streams.correlate.ratecap import RateCap
from streams.domain.alert import AlertTransition
from streams.domain.control import Ack, Control, Maintenance, decode_control, encode_control
from streams.domain.selector import Conditions, holds

Reason = Literal["", "maintenance", "acked", "symptom", "flapping", "rate_cap"]
HANDLED: Final = frozenset({"maintenance", "acked"})
"""People know: an incident of such alerts alone is not told either."""
MAX_ACKS: Final = 10_000
MAX_MAINTENANCE: Final = 1_000


class Suppressed(NamedTuple):
    """A reason, and who or what is behind it (both "" where the alert speaks for itself)."""

    reason: Reason = ""
    by: str = ""


class Suppression:
    """Acks and maintenance windows as of a moment of event time, and how many alerts of a name were told.

    Bounded: 10,000 acks and 1,000 maintenance windows, the oldest leaves for a new one (its alerts then speak again);
    those with an end leave when event time has passed it.
    """

    def __init__(self, cap: RateCap) -> None:
        self.cap = cap
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._maintenance: OrderedDict[str, Maintenance] = OrderedDict()

    def take(self, control: Control) -> None:
        """A record of ``agents.control``; the newest of a key counts. Closing an incident is none of its matters."""
        if isinstance(control, Ack):
            self._acks.pop(control.target, None)
            if not control.cleared:
                self._acks[control.target] = control
            if len(self._acks) > MAX_ACKS:
                self._acks.popitem(last=False)
        elif isinstance(control, Maintenance):
            self._maintenance.pop(control.id, None)
            if not control.cleared:
                self._maintenance[control.id] = control
            if len(self._maintenance) > MAX_MAINTENANCE:
                self._maintenance.popitem(last=False)

    def turned(self, before_ns: int, now_ns: int) -> bool:
        """Whether something begins or ends in (``before_ns``, ``now_ns``]; what has ended is let go of."""
        times = {ack.until_ns for ack in self._acks.values() if ack.until_ns}
        times |= {at_ns for m in self._maintenance.values() for at_ns in (m.starts_at_ns, m.ends_at_ns)}
        for target in [t for t, ack in self._acks.items() if 0 < ack.until_ns <= now_ns]:
            del self._acks[target]
        for name in [n for n, m in self._maintenance.items() if m.ends_at_ns <= now_ns]:
            del self._maintenance[name]
        return any(before_ns < at_ns <= now_ns for at_ns in times)

    def merged(self, incident_id: str, fingerprints: Iterable[str], now_ns: int) -> None:
        """The incident has become part of another: its ack goes on for the alerts it was given for, and no further."""
        ack = self._acks.pop(incident_id, None)
        if ack is not None:
            for fingerprint in fingerprints:
                self.take(replace(ack, target=fingerprint, at_ns=now_ns))

    def ended(self, incident_id: str) -> None:
        """The incident is over: its ack does not hold for one that comes back."""
        self._acks.pop(incident_id, None)

    def judge(self, alert: AlertTransition, incident_id: str, now_ns: int, others: Sequence[Reason]) -> Suppressed:
        """Maintenance before ack before ``others`` in their order, last the rate cap; a resolved alert always passes.

        Args:
            alert: its last transition.
            incident_id: the incident it is in.
            now_ns: event time.
            others: reasons that lie in the incident itself.
        """
        if alert.state != "firing":
            return Suppressed()
        found = self._said(alert, incident_id, now_ns) or Suppressed(next(iter(others), ""))
        if found.reason:
            self.cap.released(alert)
            return found
        held = self.cap.holds(alert)
        return Suppressed("rate_cap", f"too many {alert.alertname} at once") if held else found

    def _said(self, alert: AlertTransition, incident_id: str, now_ns: int) -> Suppressed | None:
        """What people have said about it."""
        for maintenance in self._maintenance.values():
            if maintenance.starts_at_ns <= now_ns < maintenance.ends_at_ns and _matches(maintenance.where, alert):
                return Suppressed("maintenance", _text(f"{maintenance.id} by {maintenance.by}", maintenance.why))
        ack = self._acks.get(incident_id) or self._acks.get(alert.fingerprint)
        if ack is not None and self._covers(ack, alert, now_ns):
            return Suppressed("acked", _text(ack.by, ack.why))
        return None

    @staticmethod
    def _covers(ack: Ack, alert: AlertTransition, now_ns: int) -> bool:
        """With an end: until then. Without: the episode that was there when it was given, or the whole incident."""
        if ack.until_ns:
            return now_ns < ack.until_ns
        return ack.target != alert.fingerprint or alert.starts_at_ns <= ack.at_ns

    def dump(self) -> list[Any]:
        """As JSON-able data, oldest first."""
        said: list[Control] = [*self._acks.values(), *self._maintenance.values()]
        return [orjson.Fragment(encode_control(control)) for control in said]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`, into an empty one."""
        for row in rows:
            self.take(decode_control(orjson.dumps(row)))

    def __len__(self) -> int:
        return len(self._acks) + len(self._maintenance)


def _matches(where: Conditions, alert: AlertTransition) -> bool:
    return holds(where, lambda label: alert.severity if label == "severity" else alert.identity.get(label, ""))


def _text(by: str, why: str) -> str:
    return f"{by}: {why}" if why else by
