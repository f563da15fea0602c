"""What should be known and what a peer was told, without a network."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.domain.alert import AlertTransition, fingerprint
from streams.publish.delivery import SECOND_NS, Board, Desired, Ledger, Timing, alert_labels, rfc3339, texts
from tests.unit.publish.builders import transition

NOW = 2_000 * SECOND_NS


def board(limit: int = 100) -> Board:
    return Board(Timing(), limit)


def named(i: int, **changes: object) -> AlertTransition:
    identity = {"alertname": f"A{i}"}
    return transition(identity=identity, alertname=f"A{i}", fingerprint=fingerprint(identity), **changes)


def send_all(ledger: Ledger, of: Board, now_ns: int, limit: int = 256) -> list[Desired]:
    due = ledger.due(of, now_ns, limit)
    for desired in due:
        ledger.told(desired, desired.version, now_ns)
    return due


def body(desired: Desired, now_ns: int = NOW) -> dict[str, Any]:
    return desired.body(now_ns, Timing(), "http://127.0.0.1/alerts/{fingerprint}")


def test_labels_are_fingerprint_identity_name_and_severity_as_text() -> None:
    identity = {"agent.type": "planner", "empty": "", "count": 3, "9lives": "x", "a.b": "1", "a_b": "2"}
    of = transition(identity=identity)
    made = dict(alert_labels(of))
    assert made == {
        "fingerprint": of.fingerprint,
        "agent_type": "planner",
        "count": "3",
        "_9lives": "x",
        "a_b": "1;2",
        "alertname": "StepsFail",
        "severity": "high",
    }


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(st.characters())))
@example({"a": "\ud800"})
def test_any_pairs_become_legal_text(pairs: dict[str, object]) -> None:
    for name, text in texts(pairs).items():
        assert name.isascii()
        assert name.replace("_", "a").isalnum()
        assert not name[0].isdigit()
        assert text
        text.encode()


def test_an_alert_in_a_body() -> None:
    of = board()
    of.update(transition(), NOW)
    (desired,) = of.desired.values()
    assert body(desired) == {
        "labels": {
            "agent_type": "planner",
            "alertname": "StepsFail",
            "fingerprint": desired.fingerprint,
            "severity": "high",
        },
        "annotations": {"summary": "steps fail"},
        "startsAt": "1970-01-01T00:16:40.000000Z",
        "endsAt": "1970-01-01T00:37:20.000000Z",
        "generatorURL": f"http://127.0.0.1/alerts/{desired.fingerprint}",
    }


@given(
    starts=st.integers(-(2**63), 2**63),
    ends=st.integers(-(2**63), 2**63),
    resolved=st.booleans(),
    now=st.integers(1, NOW),
)
def test_whatever_event_time_says_the_body_is_valid(starts: int, ends: int, resolved: bool, now: int) -> None:
    of = board()
    of.update(transition(starts_at_ns=starts, ends_at_ns=ends, state="resolved" if resolved else "firing"), now)
    (desired,) = of.desired.values()
    made = body(desired, now)
    starts_at, ends_at = (datetime.fromisoformat(str(made[name])) for name in ("startsAt", "endsAt"))
    assert starts_at <= ends_at
    assert (ends_at <= datetime.fromisoformat(rfc3339(now))) == resolved


def test_what_is_new_is_sent_once_and_then_repeated() -> None:
    of, ledger = board(), Ledger()
    assert of.update(transition(), NOW)
    assert ledger.unsent(of) == 1
    assert len(send_all(ledger, of, NOW)) == 1
    assert ledger.unsent(of) == 0
    assert send_all(ledger, of, NOW + 59 * SECOND_NS) == []
    assert ledger.next_due_ns(of, 0) == NOW + 60 * SECOND_NS
    assert len(send_all(ledger, of, NOW + 60 * SECOND_NS)) == 1


def test_pending_and_old_transitions_say_nothing() -> None:
    of = board()
    assert not of.update(transition(state="pending"), NOW)
    assert of.update(transition(seq=5), NOW)
    assert not of.update(transition(seq=5, state="resolved"), NOW)
    assert not of.update(transition(seq=4, state="resolved"), NOW)
    assert [desired.resolved_ns for desired in of.desired.values()] == [0]


def test_a_change_of_severity_resolves_the_old_label_set_first() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=0), NOW)
    send_all(ledger, of, NOW)
    of.update(transition(seq=1, severity="critical", at_ns=1_500 * SECOND_NS), NOW)
    old, new = (body(desired) for desired in send_all(ledger, of, NOW))
    assert old["labels"]["severity"] == "high"
    assert old["endsAt"] == rfc3339(1_500 * SECOND_NS)
    assert new["labels"]["severity"] == "critical"
    assert new["startsAt"] == old["startsAt"]
    of.update(transition(seq=2, severity="critical", state="resolved", ends_at_ns=1_600 * SECOND_NS), NOW)
    assert all(desired.resolved_ns for desired in of.desired.values())
    assert old["endsAt"] == body(of.desired[alert_labels(transition())])["endsAt"]


def test_a_newer_state_replaces_an_older_one_that_was_not_sent() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=0), NOW)
    of.update(transition(seq=1, state="resolved", ends_at_ns=NOW), NOW)
    (desired,) = send_all(ledger, of, NOW)
    assert desired.resolved_ns == NOW


def test_an_answer_for_an_older_version_leaves_the_newer_one_unsent() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=0), NOW)
    (desired,) = ledger.due(of, NOW, 256)
    version = desired.version
    of.update(transition(seq=1, state="resolved", ends_at_ns=NOW), NOW)
    ledger.told(desired, version, NOW)
    assert ledger.unsent(of) == 1


def test_an_answer_does_not_cover_a_resolution_that_came_meanwhile() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=0), NOW)
    (desired,) = ledger.due(of, NOW, 256)
    version = desired.version
    of.update(transition(seq=1, severity="critical"), NOW)  # resolves the label set that is on its way
    ledger.told(desired, version, NOW)
    assert [d.labels for d in ledger.due(of, NOW, 256)] == list(of.desired)


def test_resolved_alerts_are_repeated_for_a_while_and_then_forgotten() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(state="resolved", ends_at_ns=NOW), NOW)
    sent = 0
    for second in range(0, 1_000, 10):
        now_ns = NOW + second * SECOND_NS
        of.expire(now_ns)
        ledger.forget_gone(of)
        sent += len(send_all(ledger, of, now_ns))
    assert sent == 16
    assert (of.desired, of._seq, of._labels_of, ledger._told) == ({}, {}, {}, {})


def test_a_refused_alert_waits_until_it_changes_or_for_long() -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=0), NOW)
    (desired,) = ledger.due(of, NOW, 256)
    ledger.told(desired, desired.version, NOW, refused=True)
    assert ledger.unsent(of) == 0
    assert ledger.due(of, NOW + 899 * SECOND_NS, 256) == []
    assert len(ledger.due(of, NOW + 900 * SECOND_NS, 256)) == 1
    of.update(transition(seq=1, annotations={"summary": "other"}), NOW)
    assert len(ledger.due(of, NOW, 256)) == 1


def test_news_go_before_repetitions() -> None:
    of, ledger = board(), Ledger()
    for i in range(5):
        of.update(named(i), NOW)
    send_all(ledger, of, NOW)
    later = NOW + 100 * SECOND_NS
    of.update(named(9), later)
    assert [desired.fingerprint for desired in ledger.due(of, later, 1)] == [fingerprint({"alertname": "A9"})]


@pytest.mark.parametrize("resolved", [True, False])
def test_the_board_is_bounded(resolved: bool) -> None:
    of = board(limit=3)
    for i in range(3):
        of.update(named(i, state="resolved" if resolved and i == 1 else "firing"), NOW + i)
    assert of.update(named(3), NOW + 3) == resolved
    assert of.dropped == (0 if resolved else 1)
    names = {dict(desired.labels)["alertname"] for desired in of.desired.values()}
    assert names == ({"A0", "A2", "A3"} if resolved else {"A0", "A1", "A2"})
    assert of.update(named(0, seq=1, state="resolved"), NOW + 4)
    assert of.update(named(5), NOW + 5)


@pytest.mark.parametrize("state", ["firing", "resolved"])
def test_alerts_that_another_worker_owns_are_let_go_as_they_are(state: str) -> None:
    of, ledger = board(), Ledger()
    of.update(transition(seq=3, state=state), NOW, "windows/0")
    of.update(named(1), NOW, "windows/1")
    send_all(ledger, of, NOW)
    of.forget("windows/0")
    ledger.forget_gone(of)
    repeated = ledger.due(of, NOW + 100 * SECOND_NS, 256)
    assert [dict(d.labels)["alertname"] for d in repeated] == ["A1"]
    assert of.update(transition(seq=3, state=state), NOW)
