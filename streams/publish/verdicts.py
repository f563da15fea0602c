"""What gates say of the newest deployments, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.domain.judged import DeploymentVerdict, JudgedGate
from streams.publish.ownmetrics import HealthMetric
from streams.publish.values import Sample, ValuesCollector

_WHAT: Final = ("environment", "service_name", "service_version")
_GATE: Final = (*_WHAT, "gate", "unit")
VERDICT: Final = HealthMetric(
    "streams_deployment_verdict",
    "gauge",
    "Last verdict on the newest deployment of a service: 1 pass, 0 inconclusive, -1 fail.",
    (*_WHAT, "profile"),
)
JUDGED: Final = HealthMetric(
    "streams_deployment_judged_seconds", "gauge", "When that verdict was given.", (*_WHAT, "profile")
)
STATUS: Final = HealthMetric(
    "streams_gate_status",
    "gauge",
    "Each gate of that verdict: 1 pass, 0 inconclusive, -1 fail.",
    (*_WHAT, "gate", "blocking"),
)
CANDIDATE: Final = HealthMetric("streams_gate_candidate", "gauge", "The candidate's figure.", _GATE)
BASELINE: Final = HealthMetric("streams_gate_baseline", "gauge", "The figure it was held against.", _GATE)
EFFECT: Final = HealthMetric(
    "streams_gate_effect_ratio",
    "gauge",
    "How much worse the candidate is: share of the baseline, of ratios the difference.",
    (*_WHAT, "gate"),
)
CHANCE: Final = HealthMetric(
    "streams_gate_p_value", "gauge", "Chance that equal versions differ so much.", (*_WHAT, "gate")
)
VERDICTS: Final = (VERDICT, JUDGED, STATUS, CANDIDATE, BASELINE, EFFECT, CHANCE)


class VerdictCollector(ValuesCollector[DeploymentVerdict]):
    """Verdicts as values."""

    declared = VERDICTS

    @staticmethod
    def samples(value: DeploymentVerdict) -> Iterator[Sample]:
        """The verdict, and each gate of it."""
        what = dict(zip(_WHAT, value[:3], strict=True))
        profile = {**what, "profile": value.judged.profile}
        yield VERDICT, profile, value.judged.status
        yield JUDGED, profile, value.judged.at_ns / 1e9
        for gate in value.judged.gates:
            yield from _gate(gate, {**what, "gate": gate.name})


def _gate(gate: JudgedGate, labels: dict[str, str]) -> Iterator[Sample]:
    yield STATUS, {**labels, "blocking": "yes" if gate.blocking else "no"}, gate.status
    united = {**labels, "unit": gate.unit}
    figures = ((CANDIDATE, united, gate.value), (BASELINE, united, gate.baseline))
    for family, named, figure in (*figures, (EFFECT, labels, gate.effect), (CHANCE, labels, gate.p_value)):
        if figure is not None:
            yield family, named, figure
