"""The rules file read again in the middle of a log: what it still says goes on, what it says anew is in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from streams import topics
from streams.app.alerts import AlertsPart
from streams.app.capacity import CapacityPart
from streams.app.incidents import IncidentsPart
from streams.app.sink import Output
from streams.correlate.incidents import IncidentOperator
from streams.correlate.operator import CorrelateOperator
from streams.correlate.weights import Weights
from streams.detect.bands import BandOperator
from streams.detect.capacity import CapacityOperator, Users
from streams.detect.ratios import RatioOperator
from streams.detect.vectors import VectorOperator
from streams.domain.alert import decode_alert
from streams.domain.incident import decode_incident
from tests.unit.detect.test_capacity import AGENTS, STEP_NS
from tests.unit.window_batches import WINDOW
from tests.wiring.line import Record
from tests.wiring.test_capacity import capacity_part, uses
from tests.wiring.test_incidents import crowd
from tests.wiring.test_incidents import part as incidents_part
from tests.wiring.test_parts import alerts_part, window_log

Part = AlertsPart | CapacityPart | IncidentsPart


def outputs(part: Part, log: Sequence[Record], change: Callable[[], None] | None = None) -> list[Output]:
    """What comes out of a log in whose middle ``change`` happens."""
    found: list[Output] = []
    for number, record in enumerate(log):
        if change is not None and number == len(log) // 2:
            change()
        found += [output for step in part.process([record], 0) for output in step.results]
    return found


def test_alerts_bands_ratios_and_vectors_go_on() -> None:
    calm, changed = alerts_part(), alerts_part()
    log = window_log(3)
    assert outputs(changed, log, lambda: changed.reload(Users(()))) == outputs(calm, log)
    for operators in ("bands", "ratios", "vectors"):
        before, after = getattr(calm, operators), getattr(changed, operators)
        assert len(before) == 2
        assert [before[topic].snapshot() for topic in before] == [after[topic].snapshot() for topic in before]


def test_bands_ratios_and_vectors_that_are_gone_end_and_alerts_of_rules_that_are_gone_are_resolved() -> None:
    part, log = alerts_part(), window_log(3)

    def change() -> None:
        part.make_bands = lambda: BandOperator([], lambda *_: (0.0, 0.0), WINDOW)
        part.make_ratios = lambda: RatioOperator([], WINDOW, threshold=0.99, warmup_windows=20)
        part.make_vectors = lambda: VectorOperator([], WINDOW, threshold=0.99, warmup_windows=20)
        part.make_correlate = lambda: CorrelateOperator(())
        assert part.correlate.active()
        part.reload(Users(()))

    made = outputs(part, log, change)
    assert not any(len(bands) for bands in part.bands.values())
    assert not any(len(shares) for shares in part.ratios.values())
    assert not any(len(vectors) for vectors in part.vectors.values())
    alerts = [decode_alert(o.value or b"") for o in made if o.topic == topics.ALERTS]
    last = {alert.fingerprint: alert.state for alert in alerts}
    assert set(last.values()) == {"resolved"}


def test_forecasts_go_on_against_another_limit() -> None:
    calm, changed = capacity_part(), capacity_part()
    log = uses()
    outputs(calm, log)
    wider = CapacityOperator((replace(AGENTS, limit=2 * AGENTS.limit),), STEP_NS)
    outputs(changed, log, lambda: changed.reload(wider))
    (before,), (after,) = calm.operator.capacities(), changed.operator.capacities()
    assert after.used_ratio == pytest.approx(before.used_ratio / 2)
    assert before.outlook is not None
    assert after.outlook is not None
    assert after.outlook.expected > before.outlook.expected
    assert changed.progress(0, 0).fates == calm.progress(0, 0).fates
    assert changed.operator.completed == calm.operator.completed


def test_incidents_go_on() -> None:
    calm, changed = incidents_part(), incidents_part()
    log = crowd()
    assert outputs(changed, log, lambda: changed.reload(IncidentOperator())) == outputs(calm, log)
    assert changed.operator.counts == calm.operator.counts


def joined(made: Sequence[Output]) -> int:
    """The members of all incidents that have more than one."""
    incidents = {o.key: decode_incident(o.value or b"") for o in made if o.topic == topics.INCIDENTS}
    return sum(len(i.members) for i in incidents.values() if len(i.members) > 1)


def test_what_comes_after_other_weights_joins_by_them() -> None:
    part, log = incidents_part(), crowd()
    half, whole = log[: len(log) // 2], outputs(incidents_part(), log)
    made = outputs(part, log, lambda: part.reload(IncidentOperator(replace(Weights(), join=1e9))))
    assert joined(made) == joined(outputs(incidents_part(), half)) < joined(whole)
