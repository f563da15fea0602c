"""How many alerts of one name may speak for themselves at once, and the one that speaks for the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from streams.domain.alert import AlertTransition, State, decode_alert, encode_alert, fingerprint

FLOOD_ALERT: Final = "AlertFlood"
FLOODING_LABEL: Final = "flooding"
MAX_EPISODES: Final = 100_000
"""Episodes whose verdict is remembered; beyond it the oldest is judged again if it is asked for."""


class RateCap:
    """Lets ``alerts`` new episodes of one alertname pass within ``seconds`` of event time.

    What was let through or held once stays so until its episode ends.

    Bounded: :data:`MAX_EPISODES` verdicts; the times of the last ``alerts`` that passed, per alertname.

    Attributes:
        held: alertname -> alerts that fire and are silent because of it.
    """

    def __init__(self, alerts: int, seconds: float) -> None:
        self._alerts, self._window_ns = alerts, round(seconds * 1e9)
        self._passed: dict[str, list[int]] = {}
        self._verdicts: OrderedDict[tuple[str, int], bool] = OrderedDict()
        self.held: dict[str, set[str]] = {}

    def holds(self, alert: AlertTransition) -> bool:
        """Whether a firing alert has to be silent because too many of its name came before it."""
        episode = (alert.fingerprint, alert.starts_at_ns)
        held = self._verdicts.get(episode)
        if held is None:
            held = self._verdicts[episode] = self._judge(alert)
            if len(self._verdicts) > MAX_EPISODES:
                self._verdicts.popitem(last=False)
        if held:
            self.held.setdefault(alert.alertname, set()).add(alert.fingerprint)
        return held

    def _judge(self, alert: AlertTransition) -> bool:
        since_ns = alert.at_ns - self._window_ns
        times = [at_ns for at_ns in self._passed.get(alert.alertname, ()) if at_ns > since_ns]
        held = len(times) >= self._alerts
        self._passed[alert.alertname] = times if held else [*times, alert.at_ns]
        return held

    def ended(self, alert: AlertTransition) -> None:
        """The episode is over."""
        self._verdicts.pop((alert.fingerprint, alert.starts_at_ns), None)
        self.released(alert)

    def released(self, alert: AlertTransition) -> None:
        """Nobody has to speak for it: it ended, or is silent for another reason now."""
        held = self.held.get(alert.alertname)
        if held is not None:
            held.discard(alert.fingerprint)
            if not held:
                del self.held[alert.alertname]

    def dump(self) -> dict[str, Any]:
        """As JSON-able data."""
        held = {name: sorted(found) for name, found in self.held.items()}
        return {"passed": self._passed, "verdicts": [[*k, v] for k, v in self._verdicts.items()], "held": held}

    def load(self, body: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`, into an empty one."""
        self._passed = {name: list(times) for name, times in body["passed"].items()}
        self._verdicts = OrderedDict(((name, starts_ns), held) for name, starts_ns, held in body["verdicts"])
        self.held = {name: set(found) for name, found in body["held"].items()}


class Floods:
    """The alert that tells of those that are held: one per alertname, while any of them fires."""

    def __init__(self) -> None:
        self.told: dict[str, AlertTransition] = {}

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        return [orjson.Fragment(encode_alert(alert)) for alert in self.told.values()]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`, into an empty one."""
        found = (decode_alert(orjson.dumps(row)) for row in rows)
        self.told = {alert.identity[FLOODING_LABEL]: alert for alert in found}

    def changes(self, held: Mapping[str, Sequence[str] | set[str]], at_ns: int, seq: int) -> list[AlertTransition]:
        """What has to be said now that so many are held; nothing where it is what was said last.

        Args:
            held: alertname -> those that are held and fire.
            at_ns: event time.
            seq: larger than in any call before it that said something.
        """
        made = []
        for name in sorted(held.keys() | self.told.keys()):
            before, count = self.told.get(name), len(held.get(name, ()))
            if count == (before.value if before else 0):
                continue
            transition = _flood(name, count, before, at_ns, seq)
            made.append(transition)
            self.told[name] = transition
            if not count:
                del self.told[name]
        return made


def _flood(name: str, count: int, before: AlertTransition | None, at_ns: int, seq: int) -> AlertTransition:
    identity = {"alertname": FLOOD_ALERT, FLOODING_LABEL: name}
    state: State = "firing" if count else "resolved"
    return AlertTransition(
        fingerprint=fingerprint(identity),
        seq=seq,
        state=state,
        previous=before.state if before else "",
        alertname=FLOOD_ALERT,
        severity="high",
        identity=identity,
        annotations={
            "summary": f"{count} more alerts {name} fire than are notified one by one",
            "description": "They came at once and belong to no common incident; the page has them all.",
            "runbook": f"monitoring/runbooks/{FLOOD_ALERT}.md",
        },
        starts_at_ns=before.starts_at_ns if before else at_ns,
        at_ns=at_ns,
        ends_at_ns=0 if count else at_ns,
        value=float(count),
        threshold=0.0,
    )
