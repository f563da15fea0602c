"""Filters of subscribers."""

from __future__ import annotations

import pytest

from streams.errors import ConfigurationError
from streams.subscribe.wanted import Wanted, read_labels
from tests.unit.subscribe.drawing import alert, incident


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(), True),
        (Wanted(severity="high"), True),
        (Wanted(severity="info"), True),
        (Wanted(severity="critical"), False),
        (Wanted(states=frozenset({"firing"})), True),
        (Wanted(states=frozenset({"resolved", "open"})), False),
        (Wanted(labels={"service.name": "plan*"}), True),
        (Wanted(labels={"service.name": "plan"}), False),
        (Wanted(labels={"alertname": "AgentErrorsHigh", "agent.id": "a?"}), True),
        (Wanted(labels={"team": "*"}), True),
        (Wanted(labels={"team": "?*"}), False),
    ],
)
def test_alerts(wanted: Wanted, is_wanted: bool) -> None:
    assert wanted.alert(alert()) is is_wanted


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        (Wanted(), True),
        (Wanted(severity="warning"), True),
        (Wanted(severity="critical"), False),
        (Wanted(states=frozenset({"open"})), True),
        (Wanted(states=frozenset({"firing"})), False),
        (Wanted(labels={"service.name": "plan*", "environment": "prod"}), True),
        (Wanted(labels={"service.name": "plan*", "environment": "test"}), False),
        (Wanted(labels={"agent.id": "a1", "alertname": "Agent*"}), True),
        (Wanted(labels={"route": "x"}), False),
    ],
)
def test_incidents(wanted: Wanted, is_wanted: bool) -> None:
    assert wanted.incident(incident()) is is_wanted


def test_words_that_are_none_are_named() -> None:
    with pytest.raises(ConfigurationError, match="severity is 'grave'"):
        Wanted(severity="grave")
    with pytest.raises(ConfigurationError, match="state is 'burning'"):
        Wanted(states=frozenset({"burning", "firing"}))
    with pytest.raises(ConfigurationError, match="label=pattern"):
        read_labels(["service.name"])
    assert read_labels(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
