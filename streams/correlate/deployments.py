"""Alerts about deployments themselves: one whose gate said fail, one that failed or could not be rolled back.

They are a function of the newest record of each service and environment, so a replay says the same again: the number of
a transition is the time of the record that made it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from streams.domain import judged
from streams.domain.alert import AlertTransition, decode_alert, encode_alert, fingerprint
from streams.domain.deployment import Deployment
from streams.domain.judged import DeploymentVerdict, Judged

REGRESSION_ALERT: Final = "DeploymentRegression"
FAILED_ALERT: Final = "DeploymentFailed"
SEVERITIES: Final[Mapping[str, str]] = {REGRESSION_ALERT: "high", FAILED_ALERT: "critical"}
OVER: Final = frozenset({"succeeded", "rolled_back"})
MAX_SERVICES: Final = 1_000
SHOWN_VERDICTS: Final = 100
"""Verdicts shown as metrics: of the deployments that changed last. All are on the API."""


class _Newest(NamedTuple):
    """The newest deployment of a service in an environment; ``version`` is "" in snapshots that had none."""

    started_ns: int
    version: str = ""
    judged: Judged | None = None


class DeploymentAlerts:
    """The alerts of the newest deployment of each service in each environment.

    An older deployment has none from the moment a newer one is registered. Bounded: :data:`MAX_SERVICES` services, the
    one that was not deployed for longest leaves; its alerts are resolved by that.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[tuple[str, str], _Newest] = OrderedDict()
        self._firing: dict[tuple[str, str], dict[str, AlertTransition]] = {}

    def take(self, deployment: Deployment) -> list[AlertTransition]:
        """A record of ``agents.deployments``; transitions it makes. One of an older deployment makes none."""
        place = (deployment.service, deployment.environment)
        if deployment.started_ns < self._newest.get(place, _Newest(0)).started_ns:
            return []
        self._newest.pop(place, None)
        self._newest[place] = _Newest(deployment.started_ns, deployment.version, judged.judged(deployment))
        firing = self._firing.setdefault(place, {})
        now = {alert.fingerprint: alert for alert in _alerts(deployment)}
        made = [_ended(alert, deployment) for name, alert in firing.items() if name not in now]
        made += [alert for name, alert in now.items() if name not in firing]
        self._firing[place] = {name: firing.get(name, alert) for name, alert in now.items()}
        return made + self._shrink(deployment)

    def _shrink(self, by: Deployment) -> list[AlertTransition]:
        if len(self._newest) <= MAX_SERVICES:
            return []
        place, _ = self._newest.popitem(last=False)
        return [_ended(alert, by) for alert in self._firing.pop(place).values()]

    def active(self) -> list[AlertTransition]:
        """Those that fire: what to send again."""
        return [alert for firing in self._firing.values() for alert in firing.values()]

    def newest(self) -> list[tuple[str, str, str, int]]:
        """Service, environment, version and begin in nanoseconds of each newest deployment whose version is known."""
        return [(*place, one.version, one.started_ns) for place, one in self._newest.items() if one.version]

    def verdicts(self) -> list[DeploymentVerdict]:
        """Those on the newest deployments, at most :data:`SHOWN_VERDICTS`, the last changed first."""
        found = (
            DeploymentVerdict(environment, service, one.version, one.judged)
            for (service, environment), one in reversed(self._newest.items())
            if one.judged is not None
        )
        return list(islice(found, SHOWN_VERDICTS))

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        alerts = {
            place: [orjson.Fragment(encode_alert(a)) for a in found.values()] for place, found in self._firing.items()
        }
        return [
            [*place, one.started_ns, alerts.get(place, []), one.version, judged.dump(one.judged)]
            for place, one in self._newest.items()
        ]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`, into an empty one."""
        for service, environment, started_ns, alerts, *known in rows:  # older snapshots know less
            self._newest[service, environment] = _loaded(started_ns, *known)
            found = [decode_alert(orjson.dumps(row)) for row in alerts]
            self._firing[service, environment] = {alert.fingerprint: alert for alert in found}


def _loaded(started_ns: int, version: str = "", said: list[Any] | None = None) -> _Newest:
    return _Newest(started_ns, version, judged.load(said))


def _alerts(deployment: Deployment) -> Iterator[AlertTransition]:
    status = (deployment.verdict or {}).get("verdict")
    if deployment.state in OVER:
        return
    reason = deployment.steps[-1].reason if deployment.steps else ""
    if deployment.state == "rollback_failed" or (deployment.state == "failed" and status != "fail"):
        yield _alert(FAILED_ALERT, deployment, f"it is {deployment.state.replace('_', ' ')}", reason)
    if status == "fail":
        yield _alert(REGRESSION_ALERT, deployment, "its gate said fail", _said(deployment.verdict or {}) or reason)


def _said(verdict: Mapping[str, Any]) -> str:
    """What the gate found, in its own words."""
    reasons = verdict.get("reasons")
    return "; ".join(str(reason) for reason in reasons[:3]) if isinstance(reasons, list) else ""


def _alert(name: str, deployment: Deployment, what: str, why: str) -> AlertTransition:
    labels = {
        "alertname": name,
        "environment": deployment.environment,
        "service.name": deployment.service,
        "service.version": deployment.version,
    }
    identity = {label: value for label, value in labels.items() if value}
    return AlertTransition(
        fingerprint=fingerprint(identity),
        seq=deployment.updated_ns,
        state="firing",
        previous="",
        alertname=name,
        severity=SEVERITIES[name],
        identity=identity,
        annotations={
            "summary": f"{deployment.version} of {deployment.service} should not go on: {what}",
            "description": why or "No reason was given.",
            "deployment": deployment.id,
            "runbook": f"monitoring/runbooks/{name}.md",
        },
        starts_at_ns=deployment.updated_ns,
        at_ns=deployment.updated_ns,
        ends_at_ns=0,
        value=1.0,
        threshold=0.0,
    )


def _ended(alert: AlertTransition, by: Deployment) -> AlertTransition:
    at_ns = max(by.updated_ns, alert.at_ns + 1)
    return replace(alert, seq=at_ns, state="resolved", previous="firing", at_ns=at_ns, ends_at_ns=at_ns)
