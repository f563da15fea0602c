"""What a peer holds against what it should hold, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.alert import fingerprint
from streams.publish.delivery import SECOND_NS, Board, Ledger, Timing, alert_labels, nanoseconds, rfc3339
from streams.publish.peer import retry_after_seconds
from streams.publish.reconcile import STATES, Difference, compare
from tests.unit.publish.builders import transition

NOW = 1_700_000_000 * SECOND_NS
IDENTITY = {"alertname": "StepsFail", "agent.type": "planner"}


def told(*changes: dict[str, Any], refused: bool = False) -> tuple[Board, Ledger]:
    """A board after transitions of one alert, all of which a peer was told a second before NOW."""
    board, ledger = Board(Timing()), Ledger()
    for seq, change in enumerate(changes):
        board.update(transition(**{"identity": IDENTITY, "seq": seq, **change}), NOW - 2 * SECOND_NS)
    for desired in board.desired.values():
        ledger.told(desired, desired.version, NOW - SECOND_NS, refused=refused)
    return board, ledger


def there(state: str = "active", **changes: Any) -> dict[str, Any]:
    labels = dict(alert_labels(transition(identity=IDENTITY)))
    return {"labels": {**labels, **changes}, "status": {"state": state}, "startsAt": rfc3339(NOW), "annotations": {}}


RESOLVED = {"state": "resolved", "previous": "firing", "ends_at_ns": NOW}
CASES: dict[str, tuple[tuple[dict[str, Any], ...], list[dict[str, Any]], dict[str, int]]] = {
    "as it should be": (({},), [there()], {"active": 1}),
    "silenced or inhibited": (({},), [there("suppressed")], {"suppressed": 1}),
    "lost": (({},), [], {"missing": 1}),
    "resolved and gone": (({}, RESOLVED), [], {}),
    "resolved and still there": (({}, RESOLVED), [there()], {"active": 1, "lingering": 1}),
    "another severity, which we ended": (({}, {"severity": "critical"}), [there(severity="critical")], {"active": 1}),
    "another severity, which nobody ended": (
        ({"severity": "critical"},),
        [there(), there(severity="critical")],
        {"active": 1, "superseded": 1},
    ),
    "of another worker": (({},), [there(), there(agent_type="critic")], {"active": 1, "unknown": 1}),
    "a marker that names the alert it inhibits": (
        ({},),
        [there(), {"labels": {"alertname": "Marker", "fingerprint": fingerprint(IDENTITY), "severity": "high"}}],
        {"active": 1, "unknown": 1},
    ),
    "nothing of ours, after a restart": ((), [there()], {"unknown": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_difference_is_known_by_name(case: str) -> None:
    changes, present, expected = CASES[case]
    found = compare(*told(*changes), present, NOW)
    assert found.counts() == {**dict.fromkeys(STATES, 0), **expected}


def test_what_was_told_after_the_question_is_not_expected_in_the_answer() -> None:
    board, ledger = told({})
    assert compare(board, ledger, [], NOW - SECOND_NS).missing == ()
    assert len(compare(board, ledger, [], NOW).missing) == 1


def test_what_the_peer_refused_or_was_not_told_is_not_missing() -> None:
    board, ledger = told({}, refused=True)
    assert compare(board, ledger, [], NOW).missing == ()
    board.update(transition(identity=IDENTITY, seq=9), NOW)
    assert compare(board, ledger, [], NOW).missing == ()


def test_a_lost_alert_is_due_at_once_and_a_superseded_one_ends_with_its_own_start() -> None:
    board, ledger = told({"severity": "critical"})
    found: Difference = compare(board, ledger, [there()], NOW)
    assert ledger.due(board, NOW, 10) == []
    ledger.untold(found.missing[0])
    assert [dict(d.labels)["severity"] for d in ledger.due(board, NOW, 10)] == ["critical"]
    board.supersede(found.superseded[0], NOW)
    ended = board.desired[found.superseded[0].labels].body(NOW, board.timing, "")
    assert (ended["startsAt"], ended["endsAt"]) == (rfc3339(NOW), rfc3339(NOW))


def test_a_full_board_leaves_superseded_ones_to_end_by_themselves() -> None:
    board, ledger = told({"severity": "critical"})
    board.limit = 1
    board.supersede(compare(board, ledger, [there()], NOW).superseded[0], NOW)
    assert len(board.desired) == 1
    assert board.dropped == 0


@pytest.mark.parametrize("present", [[{}], [3], [{"labels": 3}]])
def test_an_answer_that_is_none_is_an_error(present: Any) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        compare(*told({}), present, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("0", 0.0),
        ("120", 120.0),
        ("-1", 0.0),
        ("soon", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_seconds(text, NOW) == seconds


def test_times_come_back() -> None:
    assert nanoseconds(rfc3339(NOW + 123_456_000)) == NOW + 123_456_000
