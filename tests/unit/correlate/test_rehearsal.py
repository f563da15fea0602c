"""A rehearsal counts what live operators would have said, per partition."""

from __future__ import annotations

from streams.correlate.operator import CorrelateOperator
from streams.correlate.rehearsal import Rehearsal
from tests.unit.correlate.scenes import QUIET, RULES, SCENES, anomaly, rule
from tests.unit.window_batches import batch


def test_it_counts_what_the_operator_says() -> None:
    scene, rehearsal = SCENES["SecurityAnomaly"], Rehearsal(RULES)
    live, firing = CorrelateOperator(RULES), 0
    for number in range(190):
        window = batch(number, {**scene.bad(number), **QUIET(number)} if number % 80 < 5 else QUIET(number))
        made = live.apply(window) + live.advance(window.end_ns)
        firing += sum(t.state == "firing" and t.previous != "firing" for t in made)
        assert rehearsal.apply(0, window) == made
    outcome = rehearsal.outcomes["SecurityAnomaly"]
    assert outcome.fired == firing == 3
    assert outcome.resolved == 2
    assert (outcome.worst, len(outcome.groups), len(outcome.began_ns)) == ("critical", 1, 3)
    assert rehearsal.windows == 190
    assert sum(other.fired for other in rehearsal.outcomes.values()) == 3


def test_partitions_do_not_mix_and_anomalies_count() -> None:
    rehearsal = Rehearsal([rule("MetricAnomaly")])
    for number in range(5):
        found = anomaly(number)
        rehearsal.apply(number % 2, batch(number, {found.series: [50.0]}, partition=number % 2), [found])
    assert rehearsal.outcomes["MetricAnomaly"].fired == 1, "three in partition 0, two in partition 1"
