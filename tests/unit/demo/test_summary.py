"""The verdict: when a demo is a success, and what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from streams import topics
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS, Report
from streams.demo.summary import Ending, Otel, make_moments, make_sums, report_lines
from streams.demo.watch import Seen, events_of_others, spans_passed_on
from streams.domain.alert import AlertTransition
from streams.publish.delivery import alert_labels

from . import scenes

FIRED = scenes.transition("firing", 2, 18.0, previous="pending")
RESOLVED = scenes.transition("resolved", 3, 45.0, previous="firing")
LIFE = scenes.steps(scenes.transition("pending", 1, 5.0), FIRED, RESOLVED)
REPORT = Report({topics.METRICS: 100, topics.SPANS: 30, topics.LOGS: 5}, expected_alerts=("AgentErrorsHigh",))
WELL = scenes.figures(
    0.0, metrics_aggregated=97, metrics_late=2, metrics_duplicate=1, spans_aggregated=30, logs_rejected=5
)


def notices(*seconds: tuple[str, float], of: AlertTransition = FIRED) -> Notices:
    """Notifications of an alert, by status and time after the fault's begin."""
    found, posts = Notices(), []
    for status, at in seconds:
        posts.append({"alerts": [{"status": status, "labels": dict(alert_labels(of))}]})
        found.take(posts, scenes.FAULT_NS + round(at * SECOND_NS))
    return found


def ending(told: Notices | None, seen: Seen | None = None, **how: Any) -> Ending:
    seen = scenes.seen(LIFE) if seen is None else seen
    filled: dict[str, Any] = {
        "plan": scenes.PLAN,
        "sums": make_sums(REPORT, WELL, seen),
        "moments": make_moments(scenes.PLAN, REPORT.expected_alerts, seen, told),
        "expected": REPORT.expected_alerts,
        "with_alertmanager": told is not None,
        **how,
    }
    return Ending(**filled)


def test_all_is_well() -> None:
    done = ending(notices(("firing", 22.5), ("resolved", 49.0)), fired=1, notified=1)
    assert done.exit_code == 0
    text = "\n".join(report_lines(done))
    assert "All is well: the sums agree and the alert arrived at Alertmanager's webhook." in text
    assert [line.split("  ")[-1].strip() for line in text.splitlines() if re.match(r"    .* s$", line)] == [
        *("0.0 s", "18.0 s", "21.0 s", "22.5 s", "30.0 s", "48.0 s", "49.0 s")
    ]


def test_an_alert_that_did_not_arrive_fails() -> None:
    done = ending(notices())
    assert done.exit_code == 1
    assert "arrived at Alertmanager's webhook" in done.problems[0]
    assert "FAILED" in report_lines(done)[-1]


def test_a_notification_from_before_the_alert_does_not_count() -> None:
    assert ending(notices(("firing", -100.0))).exit_code == 1


def test_an_alert_from_before_the_fault_does_not_count() -> None:
    early = scenes.steps(scenes.transition("firing", 2, -20.0))
    assert ending(notices(("firing", 1.0)), scenes.seen(early)).exit_code == 1


def test_another_alert_does_not_count() -> None:
    other = scenes.transition("firing", 2, 18.0, name="InferenceSlow")
    assert ending(notices(("firing", 25.0), of=other), scenes.seen(scenes.steps(other))).exit_code == 1


def test_without_alertmanager_the_topic_counts() -> None:
    done = ending(None)
    assert done.exit_code == 0
    assert "is on agents.alerts (no Alertmanager here)" in report_lines(done)[-1]
    assert ending(None, scenes.seen()).exit_code == 1


def test_one_event_too_few_fails() -> None:
    short = scenes.figures(
        0.0, metrics_aggregated=96, metrics_late=2, metrics_duplicate=1, spans_aggregated=30, logs_rejected=5
    )
    done = ending(notices(("firing", 22.5)), sums=make_sums(REPORT, short, scenes.seen(LIFE)))
    assert done.exit_code == 1
    assert "the sums of agents.metrics disagree" in "\n".join(report_lines(done))


def test_one_event_too_many_fails() -> None:
    seen = scenes.seen(LIFE, others={topics.METRICS: -1})
    assert ending(notices(("firing", 22.5)), sums=make_sums(REPORT, WELL, seen)).exit_code == 1


def test_events_of_others_and_spans_passed_on_are_in_the_sums() -> None:
    more = scenes.figures(0.0, metrics_aggregated=107, spans_aggregated=37, logs_aggregated=5)
    seen = scenes.seen(LIFE, others={topics.METRICS: 7}, passed_on=7)
    assert all(s.agrees for s in make_sums(REPORT, more, seen))


def test_a_simulator_that_did_not_report_fails() -> None:
    done = ending(notices(("firing", 22.5)), sums=make_sums(None, WELL, scenes.seen(LIFE)))
    assert done.exit_code == 1
    assert "the simulator did not say" in done.problems[0]


def test_trouble_fails() -> None:
    assert ending(notices(("firing", 22.5)), trouble=["the worker has ended"]).exit_code == 1


@pytest.mark.parametrize(("told", "code"), [((), 130), ((("firing", 22.5),), 0)])
def test_an_interrupted_demo_has_not_failed(told: tuple[tuple[str, float], ...], code: int) -> None:
    assert ending(notices(*told), interrupted=True).exit_code == code


def test_an_interrupted_demo_whose_sums_disagree_has() -> None:
    wrong = make_sums(REPORT, scenes.figures(0.0, metrics_aggregated=1), scenes.seen())
    assert ending(notices(), interrupted=True, sums=wrong).exit_code == 1


def test_a_scenario_without_a_fault_expects_no_alert() -> None:
    done = ending(notices(), scenes.seen(), expected=(), moments=())
    assert done.exit_code == 0
    assert "no alert was expected" in report_lines(done)[-1]


def test_the_alert_that_went_furthest_is_told() -> None:
    stuck = scenes.steps(scenes.transition("firing", 2, 8.0, agent="other"))
    done = ending(notices(("firing", 22.5)), scenes.seen(stuck, LIFE))
    assert done.best is not None
    assert done.best.who == "researcher-1"


def test_the_otel_program_is_told_with_dashes_for_the_unknown() -> None:
    otel = Otel(asked=None, traces=12, spans=45, points=9, steps=None, names=["agents_steps_total"])
    text = "\n".join(report_lines(ending(notices(), otel=otel)))
    assert "- questions asked" in text
    assert "alerts at otel-librarian" in text
    assert "45 spans, 9 metric points" in text
    assert "agents_steps_total" in text


@pytest.mark.parametrize(
    ("value", "events"),
    [
        (b'{"name":"x","value":1}', 1),
        (b"garbage", 1),
        (b"", 1),
        (b"[1]", 1),
        (b'{"v":1,"schema":"agents.metric/1","series":[],"producer":"me","count":12}', 12),
        (b'{"v":1,"schema":"agents.span/1","producer":"me","spans":[{},{}]}', 2),
        (b'{"v":1,"schema":"agents.log/1","producer":"me","logs":[{}]}', 1),
        (b'{"v":1,"schema":"agents.tick/1","time_unix_nano":5}', 0),
        (b'{"v":1,"schema":"agents.metric/1","producer":"sim-1-a","count":12}', 0),
    ],
)
def test_events_of_others_are_counted_as_the_pipeline_counts(value: bytes, events: int) -> None:
    assert events_of_others(value) == events


def test_spans_passed_on_are_known_by_what_the_pipeline_writes() -> None:
    data = TracesData()
    for _ in range(2):
        data.resource_spans.add().scope_spans.add().spans.add()
    assert spans_passed_on(topics.SPANS, data.SerializeToString()) == 2
    assert spans_passed_on(topics.SPANS, b'{"producer":"rekey/otlp_spans/0/1","spans":[{},{},{}]}') == 3
    assert spans_passed_on(topics.SPANS, b'{"producer":"sim-1","spans":[{}]}') == 0
    assert spans_passed_on(topics.SPANS, b"\n\xff") == 0
    assert spans_passed_on(topics.METRICS, data.SerializeToString()) == 0
