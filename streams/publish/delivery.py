"""What every Alertmanager should know, and what one of them does know. No network, no clock.

The unit is Alertmanager's own identity, the label set: a change of severity ends one and begins another. State is kept
by level, not by event: a peer that was away gets what is true now, never a queue of what was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from streams.domain.alert import AlertTransition

SECOND_NS: Final = 1_000_000_000

Labels = tuple[tuple[str, str], ...]

_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Timing:
    """In nanoseconds.

    Attributes:
        resend_ns: how often what fires is repeated.
        valid_ns: how far ahead ``endsAt`` is set, so that an alert ends by itself if we are gone (Prometheus: 4 min).
        retain_ns: how long a resolved alert is repeated (Prometheus: 15 min; the documentation asks for 5).
    """

    resend_ns: int = 60 * SECOND_NS
    valid_ns: int = 240 * SECOND_NS
    retain_ns: int = 900 * SECOND_NS


@dataclass(slots=True)
class Desired:
    """The state of one label set.

    ``version`` is new for each change; ``resolved_ns`` is 0 while it fires; ``owner`` is the partition it comes from.
    """

    labels: Labels
    fingerprint: str
    annotations: Mapping[str, str]
    starts_at_ns: int
    ends_at_ns: int
    resolved_ns: int
    version: int
    owner: str = ""

    def body(self, now_ns: int, timing: Timing, generator_url: str) -> dict[str, Any]:
        """One element of ``POST /api/v2/alerts``.

        Event time can be ahead of this clock: ``startsAt`` is never after now, and a resolution is never in the future,
        where Alertmanager would take it for a validity.
        """
        starts_ns = max(0, min(self.starts_at_ns, now_ns))
        if self.resolved_ns:
            ends_ns = max(starts_ns, min(self.ends_at_ns or now_ns, now_ns))
        else:
            ends_ns = now_ns + timing.valid_ns
        body: dict[str, Any] = {
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": rfc3339(starts_ns),
            "endsAt": rfc3339(ends_ns),
        }
        if generator_url:
            body["generatorURL"] = generator_url.replace("{fingerprint}", self.fingerprint)
        return body


class Stray(NamedTuple):
    """An alert as a peer holds it that no longer is ours as it stands."""

    labels: Labels
    starts_at_ns: int
    annotations: Mapping[str, str]


@dataclass
class Board:
    """Desired state of every label set.

    Bounded: resolved ones go after ``retain_ns`` (a peer that missed the resolution has let the alert expire by then);
    at ``limit`` the longest resolved one goes, and if all fire the new one is dropped and counted.
    """

    timing: Timing
    limit: int = 10_000
    dropped: int = 0
    desired: dict[Labels, Desired] = field(default_factory=dict)
    _labels_of: dict[str, Labels] = field(default_factory=dict)
    _seq: dict[str, int] = field(default_factory=dict)
    _version: int = 0

    def update(self, transition: AlertTransition, now_ns: int, owner: str = "") -> bool:
        """Takes a transition over; False if it says nothing new: pending, seen before, or dropped."""
        fingerprint = transition.fingerprint
        if transition.state == "pending" or transition.seq <= self._seq.get(fingerprint, -1):
            return False
        labels = alert_labels(transition)
        if not self._room(labels, now_ns):
            return False
        before = self._labels_of.get(fingerprint)
        if before is not None and before != labels:
            self._resolve(before, transition.at_ns, now_ns)
        self._seq[fingerprint] = transition.seq
        self._labels_of[fingerprint] = labels
        resolved = transition.state == "resolved"
        self.desired[labels] = Desired(
            labels=labels,
            fingerprint=fingerprint,
            annotations=texts(transition.annotations),
            starts_at_ns=transition.starts_at_ns,
            ends_at_ns=transition.ends_at_ns if resolved else 0,
            resolved_ns=now_ns if resolved else 0,
            version=self._next(),
            owner=owner,
        )
        return True

    def _resolve(self, labels: Labels, ends_at_ns: int, now_ns: int) -> None:
        old = self.desired.get(labels)
        if old is not None and not old.resolved_ns:
            old.ends_at_ns, old.resolved_ns, old.version = ends_at_ns, now_ns, self._next()

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _room(self, labels: Labels, now_ns: int) -> bool:
        if labels in self.desired or len(self.desired) < self.limit:
            return True
        self.expire(now_ns)
        if len(self.desired) >= self.limit:
            resolved = [d for d in self.desired.values() if d.resolved_ns]
            if not resolved:
                self.dropped += 1
                return False
            self._forget(min(resolved, key=lambda d: d.resolved_ns))
        return True

    def _forget(self, old: Desired) -> None:
        del self.desired[old.labels]
        if self._labels_of.get(old.fingerprint) == old.labels:
            del self._labels_of[old.fingerprint]
            self._seq.pop(old.fingerprint, None)

    def expire(self, now_ns: int) -> None:
        """Lets go of what has been resolved for long enough."""
        for old in [
            d for d in self.desired.values() if d.resolved_ns and now_ns - d.resolved_ns > self.timing.retain_ns
        ]:
            self._forget(old)

    def supersede(self, stray: Stray, now_ns: int) -> None:
        """Ends a label set that a peer still holds although its alert has another severity by now.

        At the limit nothing is done: it ends by itself when its validity is over.
        """
        labels = stray.labels
        if labels not in self.desired and len(self.desired) < self.limit:
            fingerprint = dict(labels).get("fingerprint", "")
            ended = (stray.starts_at_ns, now_ns, now_ns, self._next())
            self.desired[labels] = Desired(labels, fingerprint, stray.annotations, *ended)

    def forget(self, owner: str) -> None:
        """Lets go of an owner's alerts without resolving them: another worker speaks for it now.

        Those that have ended as well: repeated while that worker lets the same alert fire anew, the old end would take
        the place of the new episode in Alertmanager.
        """
        for old in [d for d in self.desired.values() if d.owner == owner]:
            self._forget(old)


@dataclass
class Ledger:
    """What one peer has been told: version and time of the last answer per label set, and what it refused."""

    _told: dict[Labels, tuple[int, int]] = field(default_factory=dict)
    _refused: dict[Labels, int] = field(default_factory=dict)

    def unsent(self, board: Board) -> int:
        """How many label sets the peer does not know in their current version."""
        return sum(self._told.get(d.labels, (0, 0))[0] != d.version for d in board.desired.values())

    def due(self, board: Board, now_ns: int, limit: int) -> list[Desired]:
        """What should be sent now: what is new first, then what is to be repeated, the longest waiting first."""
        waiting = [(self._due_ns(d, board.timing), d.version, d) for d in board.desired.values()]
        ready = sorted((due_ns, version, d) for due_ns, version, d in waiting if due_ns <= now_ns)
        return [d for _, _, d in ready[:limit]]

    def next_due_ns(self, board: Board, default_ns: int) -> int:
        """When something is to be sent next."""
        return min((self._due_ns(d, board.timing) for d in board.desired.values()), default=default_ns)

    def _due_ns(self, desired: Desired, timing: Timing) -> int:
        version, told_ns = self._told.get(desired.labels, (0, 0))
        if version != desired.version:
            return 0
        if self._refused.get(desired.labels) == version:
            return told_ns + timing.retain_ns
        return told_ns + timing.resend_ns

    def told(self, desired: Desired, version: int, now_ns: int, *, refused: bool = False) -> None:
        """The peer answered for this version (it may have been replaced by a newer one meanwhile)."""
        self._told[desired.labels] = (version, now_ns)
        if refused:
            self._refused[desired.labels] = version

    def knows(self, desired: Desired, *, before_ns: int) -> bool:
        """Whether the peer had taken the current version by then (one that it refused is not taken)."""
        version, told_ns = self._told.get(desired.labels, (0, 0))
        taken = version == desired.version and self._refused.get(desired.labels) != version
        return taken and told_ns < before_ns

    def untold(self, labels: Labels) -> None:
        """The peer does not know it after all: it is sent again at once."""
        self._told.pop(labels, None)

    def forget_gone(self, board: Board) -> None:
        """Drops what the board no longer has."""
        for labels in self._told.keys() - board.desired.keys():
            del self._told[labels]
            self._refused.pop(labels, None)


def alert_labels(transition: AlertTransition) -> Labels:
    """The label set that is sent: fingerprint, identity, alertname, severity; legal names, text values, no empty ones.

    The fingerprint is there from birth, so that a marker can inhibit the alert later (``streams.correlate.notices``).
    """
    found = {"fingerprint": transition.fingerprint, **transition.identity}
    named = texts({**found, "alertname": transition.alertname, "severity": transition.severity})
    return tuple(sorted(named.items()))


def texts(pairs: Mapping[str, object]) -> dict[str, str]:
    """Label or annotation pairs as Alertmanager takes them everywhere: ``agent.id`` -> ``agent_id``, values as text."""
    found: dict[str, str] = {}
    for name in sorted(pairs):
        value = pairs[name]
        text = "" if value is None else str(value).encode("utf-8", "replace").decode()
        legal = _ILLEGAL.sub("_", name)
        legal = f"_{legal}" if not legal or legal[0].isdigit() else legal
        if text:
            found[legal] = f"{found[legal]};{text}" if legal in found else text
    return found


def rfc3339(time_ns: int) -> str:
    """UTC with microseconds and ``Z``: a time without a zone would be taken as UTC silently, or not at all."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def nanoseconds(text: str) -> int:
    """The inverse of :func:`rfc3339`.

    Raises:
        ValueError: it is no time.
    """
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1_000
