"""Windows by version, and the verdict on them."""

from __future__ import annotations

import numpy as np
import pytest

from streams.gate.book import MAX_VERSIONS, GateBook
from streams.gate.profile import load_profiles
from streams.gate.samples import MAX_PANES
from streams.gate.summary import as_json, lines, markdown
from tests.unit.gate.windows import PANE_NS, series, window

PROFILE = load_profiles(
    """
version: 1
profiles:
  p:
    max_age_seconds: 120
    checks:
      p95: {metric: latency, statistic: p95, unit: s, op: "<", threshold: 2, window_seconds: 3600, min_samples: 50}
    comparisons:
      slower: {metric: latency, statistic: p95, unit: s, max_change: 0.1, window_seconds: 3600}
"""
)["p"]


def book(**more: object) -> GateBook:
    return GateBook(PROFILE, "shop", **more)  # type: ignore[arg-type]


def fill(one: GateBook, panes: int, factor: float, *, old: bool = True, shift: float = 1.0) -> GateBook:
    """``factor``: how much slower version 2 is; ``shift``: how much slower both are in the second half."""
    rng = np.random.default_rng(7)
    for pane in range(panes):
        common = 0.2 * (shift if pane > panes // 2 else 1.0)
        rows = [(series("latency", "2"), common * factor * rng.lognormal(0, 0.4, 60))]
        if old:
            rows.append((series("latency", "1"), common * rng.lognormal(0, 0.4, 60)))
        one.add(window(pane, rows))
    return one


@pytest.mark.parametrize(
    ("panes", "factor", "shift", "old", "status"),
    [
        (60, 1.0, 1.0, True, "pass"),
        (60, 1.5, 1.0, True, "fail"),
        (60, 1.0, 3.0, True, "pass"),  # both became slower at once
        (60, 20.0, 1.0, False, "fail"),  # nothing beside it, but over the limit
        (60, 1.0, 1.0, False, "inconclusive"),
        (5, 1.0, 1.0, True, "inconclusive"),  # too little
        (0, 1.0, 1.0, True, "inconclusive"),
    ],
)
def test_verdicts(panes: int, factor: float, shift: float, old: bool, status: str) -> None:
    one = fill(book(), panes, factor, old=old, shift=shift)
    assert one.verdict("2", "", panes * PANE_NS).status == status


def test_stale_windows_hold() -> None:
    one = fill(book(), 60, 1.5)
    assert one.verdict("2", "1", (60 * 10 + 121) * 10**9).status == "inconclusive"


def test_the_version_beside_is_the_one_with_the_most_windows() -> None:
    one = fill(book(), 10, 1.0)
    one.add(window(11, [(series("latency", "0"), [1.0])]))
    assert (one.beside("2"), one.beside("1"), one.windows("0")) == ("1", "2", 1)
    assert book().beside("2") == ""


def test_copies_other_services_other_environments_and_sizes_change_nothing() -> None:
    one = book(environment="prod")
    ours = series("latency", "2", environment="prod")
    rows = [
        (ours, [1.0]),
        (series("latency", "2", environment="test"), [9.0]),
        (series("latency", "2", service="x"), [9.0]),
    ]
    one.add(window(0, rows))
    one.add(window(0, rows))
    assert one.windows("2") == 1
    assert one.evidence("2", "")["p95"].candidate[0].count == 1
    other = GateBook(PROFILE, "shop", pane_seconds=60)
    other.add(window(0, rows))
    assert other.newest_ns == 0


def test_it_is_bounded() -> None:
    one = book()
    for number in range(MAX_VERSIONS + 3):
        one.add(window(number, [(series("latency", f"v{number}"), [1.0])]))
    assert len(one.left_out) == 3
    many = book()
    for pane in range(MAX_PANES + 5):
        many.add(window(pane, [(series("latency", "2"), [1.0])]))
    assert many.windows("2") == MAX_PANES
    assert min(many.evidence("2", "")["p95"].candidate) == 5 * PANE_NS


def test_looking_often_asks_for_more() -> None:
    """An equal version, looked at after each window: the shares of p add up to at most the profile's."""
    failed = 0
    for seed in range(20):
        rng, one = np.random.default_rng(seed), book()
        for pane in range(90):
            rows = [(series("latency", v), rng.lognormal(0, 0.5, 40)) for v in ("1", "2")]
            one.add(window(pane, rows))
            if pane >= 30 and one.verdict("2", "1", (pane + 1) * PANE_NS, look=pane - 29).status == "fail":
                failed += 1
                break
    assert failed == 0


def test_how_a_verdict_reads() -> None:
    one = fill(book(), 60, 1.5)
    verdict = one.verdict("2", "1", 60 * PANE_NS)
    shown = list(lines(verdict, "shop", "2", "1"))
    assert shown[0] == "shop 2 beside 1: FAILED (roll back); data: 0 s old"
    assert any("blocking" in line and "slower" in line and "a change of +0." in line for line in shown)
    table = markdown(verdict, "sh`op|", "2", "1")
    assert "### Gate `p`: FAILED" in table
    assert "`sh'op|`" in table
    assert table.count("\n| ") == 3
    assert as_json(verdict, "shop", "2", "1")["recommended_action"] == "roll back"
