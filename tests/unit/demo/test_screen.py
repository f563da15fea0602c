"""What an operator sees, from values."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import replace

import pytest
from rich.console import Console

from streams import topics
from streams.demo import screen
from streams.demo.figures import Figures
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS
from streams.demo.screen import told
from streams.demo.view import AlertRow, View, alert_rows, rate, source_rows, story
from streams.publish.delivery import alert_labels

from . import scenes


def drawn(view: View, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(screen.page(view, width, height))
    output = console.file
    assert isinstance(output, io.StringIO)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def busy(count: int) -> list[AlertRow]:
    first = scenes.view().alerts[0]
    return [
        dataclasses.replace(first, key=str(i), name=f"Rule{i}", who="researcher-with-a-long-name") for i in range(count)
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("alerts", [0, 3, 60])
def test_the_page_fits_the_terminal(width: int, height: int, alerts: int) -> None:
    lines = drawn(scenes.view(alerts=busy(alerts), trouble="the worker has ended"), width, height)
    assert len(lines) <= height
    assert "the worker has ended" in lines[-1]
    assert max(map(len, lines)) <= width


def test_every_figure_is_on_the_page() -> None:
    text = "\n".join(drawn(scenes.view(), 120, 40))
    for word in ("42 of 120 s", "model_outage since 17 s", "events/s 143", "lag 7", "watermark delay 3.9 s"):
        assert word in text
    for word in ("windows closed 108,614", "anomalies 33", "traces 585", "190,748 aggregated, 12 late"):
        assert word in text
    for word in (
        "AgentErrorsHigh",
        "researcher-1",
        "84 % (limit 5 %)",
        "notified",
        "last anomaly agents.steps rate of tool-caller-2: 2.8",
        "http://127.0.0.1:1/metrics",
    ):
        assert word in text


def test_what_can_be_copied_is_on_one_line_of_a_small_terminal() -> None:
    view = scenes.view()
    assert view.addresses["send"] in drawn(view, 80, 24)


def test_unknown_is_a_dash_and_never_a_number() -> None:
    blind = scenes.view(figures=None, per_second=None, sources=[], alerts=[], counts={}, notified=None)
    text = "\n".join(drawn(blind, 120, 40))
    for word in ("events/s -", "lag -", "watermark delay -", "windows closed -", "became -", "no Alertmanager"):
        assert word in text
    assert "- events/s | lag - | watermark delay - | windows -" in screen.line(blind)


def test_alerts_of_one_kind_share_a_line() -> None:
    first = scenes.view().alerts[0]
    rows = [dataclasses.replace(first, key=str(i), notified=i > 0) for i in range(3)]
    text = "\n".join(drawn(scenes.view(alerts=rows), 120, 40))
    assert "researcher-1 +2" in text
    assert "2/3 notified" in text


def test_plain_lines_tell_changes_once() -> None:
    before = list(scenes.view().alerts)
    assert screen.changes(before, before) == []
    now = [dataclasses.replace(before[0], state="resolved"), dataclasses.replace(before[0], key="other", who="b")]
    assert screen.changes(before, now) == [
        "    resolved: AgentErrorsHigh (high) researcher-1 84 % (limit 5 %)",
        "    firing: AgentErrorsHigh (high) b 84 % (limit 5 %)",
    ]


def test_the_story_follows_the_plan() -> None:
    said = [story(scenes.PLAN, scenes.FAULT_NS + s * SECOND_NS) for s in (-5, 10, 40)]
    assert said == ["all healthy; model_outage begins in 5 s", "model_outage since 10 s", "model_outage ended 10 s ago"]


def test_rates_need_two_scrapes() -> None:
    first, last = scenes.figures(10.0, metrics_aggregated=100), scenes.figures(14.0, metrics_aggregated=180)
    assert rate([first], [topics.METRICS]) is None
    assert rate([first, last], [topics.METRICS]) == 20.0


def test_sources_are_told_apart() -> None:
    scrape = scenes.figures(0.0, metrics_aggregated=100, spans_aggregated=50, otlpspans_aggregated=20)
    seen = scenes.seen(others={topics.METRICS: 3}, passed_on=20)
    rows = {(row.name, row.topics): row.events for row in source_rows([scrape], seen, with_otel=True)}
    assert rows["simulator", topics.METRICS] == 97
    assert rows["simulator", topics.SPANS] == 30
    assert rows["OTel program", topics.OTLP_SPANS] == 20
    assert rows["you", "any of agents.*"] == 3
    assert all(events is None for _, events in [(r.name, r.events) for r in source_rows([], seen, with_otel=True)])


def test_open_alerts_come_first_and_old_ones_not_at_all() -> None:
    firing = scenes.steps(scenes.transition("firing", 2, 10.0, agent="a"))
    pending = scenes.steps(scenes.transition("pending", 1, 5.0, agent="b"))
    never_fired = scenes.steps(scenes.transition("resolved", 2, 5.0, agent="c", previous="pending"))
    resolved = scenes.steps(scenes.transition("resolved", 3, 20.0, agent="d", previous="firing"))
    history = scenes.steps(scenes.transition("resolved", 3, -900.0, agent="e", previous="firing"))
    seen = scenes.seen(resolved, never_fired, pending, firing, history)
    rows = alert_rows(seen, None, scenes.START_NS, scenes.FAULT_NS + 30 * SECOND_NS)
    assert [(row.who, row.state, row.age_seconds) for row in rows] == [
        ("a", "firing", 20.0),
        ("b", "pending", 25.0),
        ("d", "resolved", 10.0),
    ]
    assert [row.notified for row in rows] == [None, None, None]


def test_notified_is_what_alertmanager_said_last() -> None:
    fired = scenes.transition("firing", 2, 10.0)
    labels = dict(alert_labels(fired))
    notices = Notices()
    posts = [{"alerts": [{"status": "firing", "labels": labels}]}]

    def row() -> AlertRow:
        return alert_rows(scenes.seen(scenes.steps(fired)), notices, 0, scenes.FAULT_NS)[0]

    assert row().notified is False
    assert len(notices.take(posts, 100)) == 1
    assert row().notified is True
    posts.append({"alerts": [{"status": "resolved", "labels": labels}]})
    assert [n.status for n in notices.take(posts, 200)] == ["resolved"]
    assert row().notified is False
    assert notices.count("firing", 0) == 1
    assert notices.count("firing", 100) == 0


def test_figures_of_an_empty_scrape_are_shown() -> None:
    assert "lag -" in "\n".join(drawn(scenes.view(figures=Figures(0.0)), 120, 40))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(None, False)], ""),
        ([(True, False), (None, False)], "notified"),
        ([(False, False), (True, False)], "1/2 notified"),
        ([(False, True), (False, True)], "folded"),
        ([(True, True), (False, True), (False, False)], "1/3 notified, 1/3 folded"),
        ([(False, False)], "0/1 notified"),
    ],
)
def test_what_was_notified_and_what_need_not_be(rows: list[tuple[bool | None, bool]], says: str) -> None:
    (alert,) = scenes.view().alerts
    assert told([replace(alert, notified=known, folded=folded) for known, folded in rows]) == says
