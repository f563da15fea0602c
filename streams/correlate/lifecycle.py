"""An alert's life: pending -> firing -> resolved, as a fold over readings in event time.

* A *level* is reached when its limit was breached through ``for_seconds``; it stays while the value has not come back
  past the clear threshold, and ``keep_firing_seconds`` longer.
* The alert fires at the worst level reached. While it fires, a milder limit that is still breached takes over at once
  (the episode goes on), so a falling value steps down instead of resolving and coming back.
* No reading (no data, too few events) counts as good: absence has its own rule.
* A change of severity is a transition of the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.correlate import template
from streams.correlate.rule import Level, Rule
from streams.domain.alert import AlertTransition, State, fingerprint


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule saw of one group at one moment.

    Attributes:
        at_ns: event time.
        value: in the rule's unit; None = nothing to say.
        figures: more placeholders for the templates.
        evidence: what a person would want to see.
    """

    at_ns: int
    value: float | None
    figures: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class LevelState:
    """Where one level is: breached since, reached or not, good again since (0 = not)."""

    since_ns: int = 0
    reached: bool = False
    good_since_ns: int = 0

    def step(self, level: Level, keep_ns: int, at_ns: int, value: float | None) -> None:
        """One reading."""
        if self.reached:
            self._step_reached(level, keep_ns, at_ns, value)
        elif value is None or not level.breached(value):
            self.since_ns = 0
        else:
            self.since_ns = self.since_ns or at_ns
            self.reached = at_ns - self.since_ns >= round(level.for_seconds * 1e9)

    def _step_reached(self, level: Level, keep_ns: int, at_ns: int, value: float | None) -> None:
        if value is not None and level.holds(value):
            self.good_since_ns = 0
            return
        self.good_since_ns = self.good_since_ns or at_ns
        if at_ns - self.good_since_ns >= keep_ns:
            self.since_ns, self.reached, self.good_since_ns = 0, False, 0


@dataclass(slots=True)
class Alert:
    """One alert that is pending or firing (or was a moment ago: state ``""`` and ``resolved`` are the ends).

    Attributes:
        rule: what it is an alert of.
        identity: labels, ``alertname`` included; the fingerprint is over these.
        seq: of its last transition.
        last: the last transition, for re-sends.
    """

    rule: Rule
    identity: dict[str, str]
    fingerprint: str
    seq: int
    levels: list[LevelState]
    at_ns: int = 0
    starts_at_ns: int = 0
    last: AlertTransition | None = None

    @property
    def is_open(self) -> bool:
        """Pending or firing."""
        return self.last is not None and self.last.state != "resolved"

    def step(self, reading: Reading) -> AlertTransition | None:
        """One reading; a transition where the state or the severity changed. Time never goes back."""
        self.at_ns = max(self.at_ns, reading.at_ns)
        keep_ns = round(self.rule.keep_firing_seconds * 1e9)
        for level, state in zip(self.rule.levels, self.levels, strict=True):
            state.step(level, keep_ns, self.at_ns, reading.value)
        return self._move(*self._now(), reading)

    def _now(self) -> tuple[State, int]:
        """State and the index of the level that decides (levels are sorted, worst first)."""
        reached = [place for place, state in enumerate(self.levels) if state.reached]
        if reached:
            return "firing", reached[0]
        breached = [place for place, state in enumerate(self.levels) if state.since_ns]
        if not breached:
            return "resolved", 0
        if self.last is not None and self.last.state == "firing":
            self.levels[breached[0]].reached = True
            return "firing", breached[0]
        return "pending", breached[0]

    def _move(self, state: State, place: int, reading: Reading) -> AlertTransition | None:
        before = self.last if self.is_open else None
        if before is None and state == "resolved":
            return None
        level = self.rule.levels[place]
        if before is None:
            self.starts_at_ns = self.levels[place].since_ns
        elif state == before.state and level.severity == before.severity:
            return None
        severity = level.severity if state != "resolved" or before is None else before.severity
        return self._transition(state, severity, level, reading, before)

    def _transition(
        self, state: State, severity: str, level: Level, reading: Reading, before: AlertTransition | None
    ) -> AlertTransition:
        self.seq += 1
        ended = state == "resolved"
        threshold = before.threshold if ended and before is not None else level.threshold
        value = reading.value if reading.value is not None else (before.value if before else 0.0)
        self.last = AlertTransition(
            fingerprint=self.fingerprint,
            seq=self.seq,
            state=state,
            previous=before.state if before else "",
            alertname=self.rule.name,
            severity=severity,
            identity=dict(self.identity),
            annotations=_ending(before, reading)
            if ended and before is not None
            else self._annotations(severity, value, threshold, reading, before),
            starts_at_ns=self.starts_at_ns,
            at_ns=self.at_ns,
            ends_at_ns=self.at_ns if ended else 0,
            value=value,
            threshold=threshold,
            evidence=reading.evidence or (before.evidence if before else ()),
        )
        return self.last

    def _annotations(
        self,
        severity: str,
        value: float,
        threshold: float,
        reading: Reading,
        before: AlertTransition | None,
    ) -> dict[str, str]:
        rule = self.rule
        labels = {name: label for name, label in self.identity.items() if name != "alertname"}
        figures = {
            **reading.figures,
            **self.identity,
            "labels": ", ".join(f"{name}={labels[name]}" for name in sorted(labels)),
            "value": template.figure(value, rule.unit),
            "threshold": template.figure(threshold, rule.unit),
            "severity": severity,
            "window": f"{rule.window_seconds:g} s",
        }
        texts = {"summary": template.render(rule.summary, figures)}
        if rule.description:
            texts["description"] = template.render(rule.description, figures)
        texts |= {"runbook": rule.runbook, "value": figures["value"], "threshold": figures["threshold"]}
        if before is not None and before.severity != severity:
            texts["severity_change"] = f"{before.severity} -> {severity}"
        return texts


def _ending(before: AlertTransition, reading: Reading) -> dict[str, str]:
    """The last texts stay, with the reason of the end."""
    texts = {name: text for name, text in before.annotations.items() if name != "severity_change"}
    texts["resolution"] = "no data" if reading.value is None else "back within its limit"
    return texts


def new_alert(rule: Rule, labels: Mapping[str, str], seq: int) -> Alert:
    """An alert that has not begun.

    Args:
        rule: its rule.
        labels: identity labels; empty values are left out (Alertmanager would drop them).
        seq: of the last transition that this fingerprint ever had, 0 for none.
    """
    identity = {"alertname": rule.name, **{name: value for name, value in labels.items() if value}}
    return Alert(rule, identity, fingerprint(identity), seq, [LevelState() for _ in rule.levels])
